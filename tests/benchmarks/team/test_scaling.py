"""The benchmark of many replicas, with replicas that wait in this process."""

import pytest

from benchmarks.team import scaling
from benchmarks.team.processes import processor_s, role_of
from benchmarks.team.scaling import ScalingOptions
from benchmarks.team.waiting_replica import WaitingReplica
from lsp_server.team.config import ModelConfig, read_config
from lsp_server.team.ingress import Service, create_app
from lsp_server.team.local import LocalBackend
from lsp_server.team.metrics import Metrics
from lsp_server.team.tokens import Tokens
from tests.lsp_server.team_service import listening


@pytest.fixture
def url():
    config = read_config({"models": [{"name": "none-0"}]})
    replica = WaitingReplica(ModelConfig("none-0", "none"))
    backend = LocalBackend({"none-0": replica})  # type: ignore[dict-item]  # has a replica's methods
    with listening(create_app(Service(config, backend, Tokens(()), Metrics.create()))) as url:
        yield url


def test_a_measurement_and_its_report(url):
    found = scaling.measure(url, "none-0", 3, 0.05, 0.0, 0.05)
    assert found.answers
    assert len(found.answers) == len(found.replies)
    assert 0.0 <= found.cache_share <= 1.0
    assert all(overhead > 0 for overhead in found.overhead_ms)
    report = scaling.report(ScalingOptions((1, 2)), [found, found], [found] * len(scaling.MOST_USERS))
    assert [row[0] for row in report.tables[0].rows] == [1, 2]
    assert report.tables[0].rows[1][3] == 0.5, "twice the replicas and the same throughput is half of linear"
    assert [ratio.at_least for ratio in report.ratios if "linear" in ratio.name] == [scaling.BOUND]
    assert len(report.tables[1].rows) == len(scaling.MOST_USERS)


def test_nothing_was_answered(url):
    found = scaling.measure(url, "another", 1, 0.05, 0.0, 0.0)
    report = scaling.report(ScalingOptions((1,)), [found], [found])
    assert report.tables[0].rows[0][2] == 0.0


@pytest.mark.parametrize(
    ("title", "role"),
    [
        ("ray::ProxyActor", "proxy"),
        ("ray::ServeReplica:midtoken:ingress.complete", "ingress"),
        ("ray::ServeReplica:midtoken:model-gpu_2d_20", "replica"),
        ("ray::ServeController", "rest of Ray"),
        ("raylet", "rest of Ray"),
        ("python", ""),
    ],
)
def test_processes_are_told_apart_by_their_titles(title, role):
    assert role_of(title) == role


def test_other_processes_than_rays_do_not_count():
    assert set(processor_s()) <= {"proxy", "ingress", "replica", "rest of Ray"}
