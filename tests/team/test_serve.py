import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from lsp_server.team.events import Event, EventReader
from tests.team.service import HEADERS, LONG, PREFIX, Editor, ask, eventually, stream


def test_it_heals_for_everybody(url):
    assert ask(url).json()["completions"][0]["text"].startswith("y")
    assert httpx.get(f"{url}/healthz").json()["ready"] == 3
    assert all(model["ready"] for model in httpx.get(f"{url}/v1/models", headers=HEADERS).json()["data"])


def test_the_proxy_asks_the_replica_itself(url):
    # Serve's own way through the ingress would name the request.
    assert "x-request-id" not in ask(url).headers


def test_a_document_stays_at_the_replica_that_has_read_it(url):
    for number in range(4):
        session = {"x-session-id": f"document-{number}"}
        prefix = f"# {number}\n{PREFIX}"
        ask(url, prefix, **session)
        usage = ask(url, prefix + "def fun", **session).json()["usage"]
        assert usage["reused_tokens"] > usage["prompt_tokens"] / 2


def answered(url: str, document: str) -> tuple[int, Mapping[str, Any]]:
    """The replica that answers a short request of a document, and the answer's usage."""
    found: dict[str, Mapping[str, Any]] = {}
    body = {"prefix": PREFIX, "model": "pair", "stream": True}
    stream(url, lambda event: found.update({event.name: event.data}), body, document)
    return int(found["begun"]["replica"]), found["answer"]["usage"]


@contextmanager
def being_answered(url: str, document: str) -> Iterator[int]:
    """The replica that works on a request of a document, which takes half a minute unless the context ends before."""
    body = {**LONG, "model": "pair", "n": 16, "temperature": 1.2}
    headers = {**HEADERS, "x-session-id": document}
    with httpx.stream("POST", f"{url}/v1/complete", json=body, headers=headers, timeout=60) as response:
        reader = EventReader()
        for part in response.iter_bytes():
            for event in reader.feed(part):
                yield int(event.data["replica"])
                return


def test_a_busy_document_does_not_drown_its_replica(url):
    home, _ = answered(url, "busy")
    names = (f"document-{number}" for number in itertools.count())
    neighbour = next(name for name in names if answered(url, name)[0] == home)
    # Each has four seats, and a document gets half of them.
    with being_answered(url, "busy") as first, being_answered(url, "busy") as second:
        assert first == second == home
        with being_answered(url, "busy") as third:
            assert third != home
            replica, usage = answered(url, neighbour)
            assert replica == home
            assert usage["reused_tokens"] > 0.9 * usage["prompt_tokens"]
    eventually(lambda: answered(url, "busy")[0] == home)


def test_without_the_experimental_router_the_better_of_two_replicas_is_taken():
    code = (
        "import sys; sys.modules['ray.serve.experimental.consistent_hash_router'] = None; "
        "from lsp_server.team.application import router; print(router(8).request_router_class)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(":PowerOfTwoChoicesRequestRouter")


def test_a_replica_that_is_killed_while_it_streams_is_no_error(service):
    events: list[Event] = []

    def on_event(event: Event) -> None:
        if not events:
            os.kill(event.data["replica"], signal.SIGKILL)
        events.append(event)

    stream(service.url, on_event)
    assert events[-1].name in ("answer", "error")
    # The editor's client asks on: the other replica answers, or the local model.
    with Editor(service.url, service.token) as editor:
        for _ in range(5):
            assert editor.complete()
        editor.until("service")
    eventually(lambda: ask(service.url).status_code == 200)


def test_many_users_at_once(url):
    found: list[int] = []

    def use(number: int) -> None:
        found.append(ask(url, f"x{number} = ran", **{"x-session-id": f"user-{number}"}).status_code)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 16


def test_a_token_is_revoked_while_the_service_runs(service):
    token, other = service.token.read_text(), "another-token-of-the-tests"
    service.token.write_text(other)
    try:
        eventually(lambda: ask(service.url).status_code == 401)
        assert ask(service.url).json()["error"]["code"] == "unauthorised"
        assert ask(service.url, Authorization=f"Bearer {other}").status_code == 200
    finally:
        service.token.write_text(token)
    eventually(lambda: ask(service.url).status_code == 200)
    with Editor(service.url, service.token) as editor:
        editor.until("service")


def test_usage_figures_of_ray_are_off():
    code = "import lsp_server.team.application, ray._common.usage.usage_lib as u; print(u.usage_stats_enabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
