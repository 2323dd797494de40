"""Adding a model in a process of its own: its input, its output, and how it is stopped."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from lsp_server.models.worker import serve
from tests.lsp_server.commands.command_line import ROOT
from tests.lsp_server.models.fake_machine import FakeConverter, put_ollama, registry_at


class Client:
    """The other end of a worker's input: one line, and then nothing until it is closed."""

    def __init__(self, model: str) -> None:
        reading, self._writing = os.pipe()
        self.stream = os.fdopen(reading, "rb")
        self._threads = set(threading.enumerate())
        self._open = True
        os.write(self._writing, json.dumps({"model": model}).encode() + b"\n")

    def close(self) -> None:
        """Close it. The worker has noticed when this returns."""
        if self._open:
            self._open = False
            os.close(self._writing)
            for thread in set(threading.enumerate()) - self._threads:
                thread.join(10)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.stream.close()


def work(home: Path, client: Client, during: Any = None) -> tuple[int, list[dict[str, Any]]]:
    lines: list[dict[str, Any]] = []
    status = serve(registry_at(home, FakeConverter(during)), client.stream, lines.append)
    return status, lines


@pytest.fixture
def home(tmp_path: Path) -> Path:
    put_ollama(tmp_path / "home/.ollama/models", "smol:135m")
    return tmp_path


def test_it_tells_its_progress_and_the_name(home: Path):
    with Client("smol:135m") as client:
        status, lines = work(home, client)
    assert status == 0
    assert [line["doing"] for line in lines[:-1]] == ["header", "weights", "done"]
    assert lines[-1] == {"added": True, "name": "smol:135m", "path": lines[-1]["path"]}
    assert (Path(lines[-1]["path"]) / "midtoken.json").exists()


def test_the_end_of_its_input_stops_it(home: Path):
    with Client("smol:135m") as client:
        status, lines = work(home, client, lambda out: client.close())
    assert status == 1
    assert lines[-1] == {"cancelled": True}
    assert [path.name for path in (home / "store").iterdir()] == [".lock"]


def test_errors_are_one_line(home: Path):
    with Client("unknown") as client:
        status, lines = work(home, client)
    assert status == 1
    assert lines == [{"error": "no model is called 'unknown'; 'midtoken models' lists them"}]


def test_as_a_process(tmp_path: Path):
    put_ollama(tmp_path / ".ollama/models", "odd:1", b"no model")
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for name in ("OLLAMA_MODELS", "XDG_DATA_HOME"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lsp_server.models.worker"],
        input=b'{"model": "odd:1"}\n',
        capture_output=True,
        env=environment,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["error"].startswith("odd:1 cannot be used")
