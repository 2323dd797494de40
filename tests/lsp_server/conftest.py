"""Fixtures that the tests of the command line share."""

import pytest

from tests.lsp_server.commands.command_line import StubCompleter, install


@pytest.fixture(autouse=True)
def models_are_trusted(monkeypatch):
    """No model is tried in a process of its own, because that takes a second. `test_trials.py` tests it."""
    monkeypatch.setattr("lsp_server.commands.options.probe_model", lambda folder: None)


@pytest.fixture
def stub(monkeypatch):
    return install(monkeypatch, StubCompleter("y as np"))


@pytest.fixture
def write(tmp_path):
    def write(data, name="document.py"):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
        return path

    return write
