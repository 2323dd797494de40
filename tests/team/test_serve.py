import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from engine import CompletionRequest, StopParams
from lsp_server.remote.address import Remote
from lsp_server.scheduling.remote_model import RemoteCompleter
from lsp_server.team.events import Event, EventReader
from tests.lsp_server.fakes import FakeCompleter

TOKEN = "a-token-of-the-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "x-session-id": "one"}
START_S = 180
PREFIX = "".join(f"def function_{number}(value):\n    return value + {number}\n\n\n" for number in range(20))


def program(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "lsp_server", "team", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def url(folder) -> Iterator[str]:
    """The address of a service with two replicas of a small model."""
    token = folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    config = folder / "midtoken-team.yaml"
    config.write_text(
        "models: [{name: small, replicas: 2, cpus: 0.2, threads: 1, context_tokens: 1024}]\n"
        f"tokens: [{{name: a, file: {token}, requests_per_second: 1000}}]\n"
    )
    port = free_port()
    with program("--config", str(config), "--port", str(port)) as service:
        assert service.stdout is not None
        assert f"http://127.0.0.1:{port}" in service.stdout.readline()
        yield f"http://127.0.0.1:{port}"
        service.send_signal(signal.SIGTERM)
        assert service.wait(START_S) == 0
        service.stdout.close()
        assert service.stderr is not None
        service.stderr.close()


def ask(url: str, prefix: str = "import nump", **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/complete", json={"prefix": prefix}, headers={**HEADERS, **headers}, timeout=60)


def test_it_heals_for_everybody(url):
    assert ask(url).json()["completions"][0]["text"].startswith("y")
    assert httpx.get(f"{url}/healthz").json()["ready"] == 1
    assert httpx.get(f"{url}/v1/models", headers=HEADERS).json()["data"][0]["ready"]


def test_a_document_stays_at_the_replica_that_has_read_it(url):
    for number in range(4):
        session = {"x-session-id": f"document-{number}"}
        prefix = f"# {number}\n{PREFIX}"
        ask(url, prefix, **session)
        usage = ask(url, prefix + "def fun", **session).json()["usage"]
        assert usage["reused_tokens"] > usage["prompt_tokens"] / 2


def test_a_replica_that_is_killed_while_it_streams_is_no_error(url, folder):
    body = {"prefix": PREFIX, "single_line": False, "max_new_tokens": 256, "stream": True}
    with httpx.stream("POST", f"{url}/v1/complete", json=body, headers=HEADERS, timeout=60) as response:
        reader = EventReader()
        events: list[Event] = []
        for part in response.iter_bytes():
            for event in reader.feed(part):
                if not events:
                    os.kill(event.data["replica"], signal.SIGKILL)
                events.append(event)
    assert events[-1].name in ("answer", "error")
    # The editor's client continues to ask: the other replica answers, or the local model.
    completer = RemoteCompleter(FakeCompleter(("local",)), Remote(url, folder / "token"))
    for _ in range(5):
        stop = StopParams(max_new_tokens=8)
        assert completer.complete(CompletionRequest("import nump", budget_ms=20_000.0, stop=stop)).completions
    completer.close()
    end = time.monotonic() + START_S
    while ask(url).status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.2)


def test_many_users_at_once(url):
    found: list[int] = []

    def use(number: int) -> None:
        found.append(ask(url, f"x{number} = ran", **{"x-session-id": f"user-{number}"}).status_code)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) <= {200, 429}
    assert found.count(200) >= 8


def test_a_token_is_revoked_while_the_service_runs(url, folder):
    (folder / "token").write_text("another-token-of-the-tests")
    time.sleep(1.5)
    assert ask(url).json()["error"]["code"] == "unauthorised"
    assert ask(url, Authorization="Bearer another-token-of-the-tests").status_code == 200
    (folder / "token").write_text(TOKEN)
    time.sleep(1.5)
    assert ask(url).status_code == 200


def test_usage_figures_of_ray_are_off():
    code = "import lsp_server.team.application, ray._common.usage.usage_lib as u; print(u.usage_stats_enabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
