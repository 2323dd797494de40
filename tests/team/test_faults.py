"""What a network, a client or a full replica can do to the service, and to an editor that uses it."""

import contextlib
import json
import socket
import threading
from urllib.parse import urlsplit

import httpx
import pytest

from lsp_server.team.events import Event
from tests.team.relay import relay
from tests.team.service import HEADERS, LONG, TOKEN, Editor, ask, eventually, metric, stream


@pytest.mark.parametrize("how", ["cut", "silent"])
def test_a_network_that_is_cut_leaves_the_local_model(service, how):
    with relay(service.url) as network, Editor(network.url, service.token) as editor:
        editor.until("service")
        network.become(how)
        assert editor.complete(budget_ms=500.0) == "local"
        assert "the local model answers" in (editor.completer.problem or "")
        network.become("good")
        editor.until("service")
        assert editor.completer.problem is None


def test_a_network_that_is_cut_within_an_answer_frees_the_replica(service):
    def on_event(event: Event) -> None:
        network.become("cut")

    with relay(service.url) as network:
        with contextlib.suppress(httpx.HTTPError):
            stream(network.url, on_event)
        eventually(lambda: metric(service.url, 'midtoken_ongoing_requests{model="small"}') == 0)
    assert ask(service.url).status_code == 200


def test_a_client_that_does_not_read_keeps_nobody_waiting(service):
    where = urlsplit(service.url)
    body = json.dumps(LONG).encode()
    head = (
        f"POST /v1/complete HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            one = stack.enter_context(socket.create_connection((where.hostname, where.port), timeout=60))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.sendall(head.encode() + body)
        for number in range(4):
            assert ask(service.url, **{"x-session-id": f"other-{number}"}).status_code == 200
    eventually(lambda: metric(service.url, 'midtoken_ongoing_requests{model="small"}') == 0)


def test_a_replica_without_room_says_when_to_come_again(service):
    refused: list[httpx.Response] = []

    def use() -> None:
        response = httpx.post(f"{service.url}/v1/complete", json={**LONG, "model": "one"}, headers=HEADERS, timeout=60)
        if response.status_code != 200:
            refused.append(response)

    def has_refused() -> bool:
        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return bool(refused)

    eventually(has_refused)
    assert {response.status_code for response in refused} == {503}
    assert {response.json()["error"]["code"] for response in refused} == {"full"}
    assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
    eventually(lambda: ask(service.url, model="one").status_code == 200)


def raw(url: str, data: bytes) -> bytes:
    """What comes back until the service hangs up."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=60) as connection:
        connection.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                answer += part
        return answer


_HEAD = f"POST /v1/complete HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


@pytest.mark.parametrize(
    ("data", "status", "code", "counter"),
    [
        (_HEAD, 408, "timeout", "front_refusals"),
        (_HEAD + b"x: " + b"y" * 40_000, 413, "too-large", "front_refusals"),
        (_HEAD + b"x: a\rSet-Cookie: b\r\n\r\n", 400, "bad-request", "front_refusals"),
        (_HEAD + b'Content-Length: 100\r\nConnection: close\r\n\r\n{"pre', 408, "timeout", "refusals"),
        (_HEAD + b"Content-Length: 10000000\r\nConnection: close\r\n\r\n{", 413, "too-large", "refusals"),
    ],
    ids=["slow head", "head without end", "injected header", "slow body", "large body"],
)
def test_what_no_client_sends_is_refused_in_one_line_and_counted(service, data, status, code, counter):
    name = f'midtoken_{counter}_total{{code="{code}"}}'
    before = metric(service.url, name)
    answer = raw(service.url, data)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert f'"code":"{code}"'.encode() in answer.replace(b'": "', b'":"')
    assert b"set-cookie" not in answer.lower()
    assert metric(service.url, name) == before + 1


@pytest.mark.parametrize(
    ("body", "token", "status", "code"),
    [
        ({"prefix": "a", "model": "../../etc/passwd"}, TOKEN, 403, "forbidden"),
        ({"prefix": "a", "max_new_tokens": 1_000_000}, TOKEN, 400, "bad-request"),
        ({"prefix": "a"}, "a-token-of-another-team", 401, "unauthorised"),
        ({"prefix": "a"}, "", 401, "unauthorised"),
    ],
    ids=["path in a name", "a million tokens", "another team", "no token"],
)
def test_what_is_not_allowed_is_refused_in_one_line_and_counted(service, body, token, status, code):
    name = f'midtoken_refusals_total{{code="{code}"}}'
    before = metric(service.url, name)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = httpx.post(f"{service.url}/v1/complete", json=body, headers=headers, timeout=60)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert "\n" not in response.json()["error"]["message"]
    assert metric(service.url, name) == before + 1
