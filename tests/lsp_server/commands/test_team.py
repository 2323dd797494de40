"""`midtoken team` up to where Ray begins; on a real Ray: tests/team."""

import os
import signal

import pytest

from engine import RequestError
from lsp_server.commands.team import Source, until_told, updated

LEAST = "models: [{name: bundled}]\n"


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "midtoken-team.yaml"
    file.write_text(LEAST)
    return Source(file, port=8441)


class Deployed:
    """What was deployed; the configurations of some models fail."""

    def __init__(self, fails: tuple[str, ...] = ()) -> None:
        self.names: list[str] = []
        self._fails = fails

    def __call__(self, config) -> None:
        self.names.append(config.models[0].name)
        if self.names[-1] in self._fails:
            raise RuntimeError("a replica did not start")


@pytest.fixture
def signals():
    """Puts the handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_options_come_before_the_file(source):
    assert source.read().port == 8441
    source.file.write_text(LEAST + "port: 1000\nhost: 127.0.0.2")
    assert (source.read().port, source.read().host) == (8441, "127.0.0.2")
    with pytest.raises(RequestError, match="it must be from 1 to 65535"):
        Source(source.file, port=0).read()


def test_a_model_that_cannot_be_loaded_is_told_before_anything_starts(source, tmp_path):
    (tmp_path / "midtoken.json").write_text("{")
    source.file.write_text(f"models: [{{name: seven, model: {tmp_path}}}]")
    with pytest.raises(RequestError, match=r"models: seven cannot be served: .*midtoken\.json") as raised:
        source.read()
    assert "\n" not in str(raised.value)
    assert Source(source.file, tries_models=False).read().models[0].name == "seven"  # it lies on other machines


def test_the_file_is_taken_over(source, capsys):
    config, deployed = source.read(), Deployed()
    source.file.write_text("models: [{name: small}]")
    assert updated(source, config, deployed).models[0].name == "small"
    assert deployed.names == ["small"]
    assert "runs as the file says now" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "models: []", "models: [{name: x, model: /nowhere}]"])
def test_a_wrong_file_is_not(source, text, caplog):
    config, deployed = source.read(), Deployed()
    source.file.write_text(text)
    assert updated(source, config, deployed) is config
    assert deployed.names == []
    assert "the service goes on as before" in caplog.text


def test_replicas_that_do_not_start_are_taken_back(source, caplog):
    config, deployed = source.read(), Deployed(fails=("small",))
    source.file.write_text("models: [{name: small}]")
    assert updated(source, config, deployed) is config
    assert deployed.names == ["small", "bundled"]
    assert "the service goes back" in caplog.text


def test_where_it_listens_stays(source, caplog):
    config = source.read()
    source.file.write_text(LEAST + "host: 127.0.0.2")
    updated(source, config, Deployed())
    assert "stay as they are" in caplog.text


def test_it_ends_when_it_is_told(source, signals, monkeypatch):
    deployed = Deployed()
    config = source.read()
    source.file.write_text("models: [{name: small}]")

    def said(line, **_) -> None:
        """As soon as it listens it is told to read the file again; as soon as it has, to end."""
        os.kill(os.getpid(), signal.SIGHUP if "listens on http://127.0.0.1:8441" in line else signal.SIGTERM)

    monkeypatch.setattr("builtins.print", said)
    until_told(source, config, deployed)
    assert deployed.names == ["small"]
