"""By name: the settings that keep Ray to itself, and the folder that holds what it writes."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lsp_server.team.silence import EVERYWHERE, ON_THIS_MACHINE, RunFolder, silence


@pytest.fixture
def temporary(monkeypatch) -> Iterator[Path]:
    """A temporary folder with a short name, as Ray needs it."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="s-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RAY_USAGE_STATS_ENABLED", "0"),
        ("RAY_USAGE_STATS_REPORT_URL", "http://127.0.0.1:9/"),
        ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0"),
        ("RAY_enable_metrics_collection", "0"),
        ("RAY_automatic_object_spilling_enabled", "0"),
        ("RAY_AUTH_MODE", "token"),
        ("RAY_SERVE_LOG_TO_STDERR", "0"),
        ("RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", "lsp_server.team.application:prepare_proxy"),
    ],
)
def test_a_setting(name, value, temporary):
    environment = {name: "of-the-user"}
    silence(environment)
    assert environment[name] == value


def test_the_page_has_every_setting():
    page = (Path(__file__).parents[3] / "docs" / "team.md").read_text(encoding="utf-8")
    assert [name for name in (*EVERYWHERE, *ON_THIS_MACHINE) if f"`{name}`" not in page] == []


def test_the_token_of_rays_processes_is_in_a_folder_of_the_run(temporary):
    environment = {"RAY_AUTH_TOKEN": "of-the-user"}
    folder = silence(environment)
    assert folder is not None
    assert folder.path.parent == temporary
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert Path(environment["RAY_AUTH_TOKEN_PATH"]) == folder.token
    assert folder.token.stat().st_mode & 0o777 == 0o600
    assert len(folder.token.read_text()) == 64
    assert "RAY_AUTH_TOKEN" not in environment
    other = silence({})
    assert other is not None
    assert other.token.read_text() != folder.token.read_text()
    folder.remove()
    assert list(temporary.iterdir()) == [other.path]
    folder.remove()  # once more does no harm


def test_a_cluster_that_runs_already_keeps_its_settings(temporary):
    environment = {"RAY_ADDRESS": "10.0.0.1:6379"}
    assert silence(environment) is None
    assert set(environment) == {"RAY_ADDRESS", "RAY_USAGE_STATS_ENABLED", "RAY_USAGE_STATS_REPORT_URL"}
    assert list(temporary.iterdir()) == []


def test_a_long_name_of_the_temporary_folder_leaves_room_for_sockets(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    folder = RunFolder.create()
    try:
        assert len(str(folder.path)) < 20
    finally:
        folder.remove()
