"""The team's service as ``midtoken team`` starts it, on a real Ray: ``make test-team``."""

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

# Ray is in the extra "team" only.
collect_ignore_glob = ["test_*.py"] if importlib.util.find_spec("ray") is None else []

if TYPE_CHECKING:
    from tests.team.service import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory) -> "Iterator[Service]":
    """A service with two replicas of a small model, one with room for a single request, and a pair with four seats."""
    from tests.team.service import SMALL, serving, write_config

    folder = tmp_path_factory.mktemp("service")
    one = "{name: one, model: small, cpus: 0.2, threads: 1, context_tokens: 512, concurrent: 1, waiting: 0}"
    pair = SMALL.replace("name: small,", "name: pair, model: small, concurrent: 4, waiting: 8,")
    write_config(folder, f"{SMALL}, {one}, {pair}")
    with serving(folder) as service:
        yield service


@pytest.fixture
def url(service: "Service") -> str:
    return service.url
