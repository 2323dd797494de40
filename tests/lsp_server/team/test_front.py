"""The bounds on a request's head, over real sockets."""

import contextlib
import json
import socket
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn.config

from lsp_server.team import front as front_module
from lsp_server.team.front import BoundedProtocol, Front, FrontFigures
from tests.lsp_server.team_service import HEADERS, Served, listening

HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@contextlib.contextmanager
def behind(served: Served, front: Front) -> Iterator[str]:
    with listening(FrontFigures(served.app, front), partial(BoundedProtocol, front)) as url:
        yield url


@contextlib.contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        yield connection


def rest(connection: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            answer += part
    return answer


def refusals(front: Front, code: str) -> float:
    return front.registry.get_sample_value("midtoken_front_refusals_total", {"code": code}) or 0.0


@pytest.mark.parametrize("sent", [b"", b"G", HEAD, HEAD + b"x: y\r\n"])
def test_a_head_that_does_not_come(serve, sent):
    front = Front.create(head_s=0.1)
    with behind(serve(), front) as url, connected(url) as connection:
        connection.sendall(sent)
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    error = json.loads(answer.split(b"\r\n\r\n")[1])["error"]
    assert error == {"code": "timeout", "message": "the head did not arrive within 0.1 s; send it at once"}
    assert refusals(front, "timeout") == 1


def test_the_head_of_a_later_request_that_does_not_come(serve):
    front = Front.create(head_s=0.1)
    with behind(serve(), front) as url, connected(url) as connection:
        connection.sendall(HEAD + b"\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        connection.sendall(HEAD)
        assert b"HTTP/1.1 408 " in rest(connection)


def test_a_head_without_end(serve):
    front = Front.create(largest_head=2000)
    with behind(serve(), front) as url, connected(url) as connection:
        connection.sendall(HEAD + b"x: " + b"y" * 3000)
        assert rest(connection).startswith(b"HTTP/1.1 413 ")
    assert refusals(front, "too-large") == 1


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01", b"nothing\r\n\r\n", HEAD + b"a\rSet-Cookie: b\r\n\r\n"])
def test_what_is_no_http(serve, sent):
    front = Front.create()
    with behind(serve(), front) as url, connected(url) as connection:
        connection.sendall(sent)
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"set-cookie" not in answer.lower()
    assert json.loads(answer.split(b"\r\n\r\n")[1])["error"]["code"] == "bad-request"
    assert refusals(front, "bad-request") == 1


def test_who_keeps_to_them_notices_nothing(serve):
    front = Front.create(largest_head=2000)
    served = serve()
    with behind(served, front) as url, httpx.Client() as client:
        for size in (1, 100_000):  # the body is none of its business
            answer = client.post(f"{url}/v1/complete", json={"prefix": "a" * size}, headers=HEADERS)
            assert answer.json()["completions"][0]["text"] == "one"
        front.refusals.labels("timeout").inc()
        figures = client.get(f"{url}/metrics", headers=HEADERS).text
        assert 'midtoken_front_refusals_total{code="timeout"} 1.0' in figures
        assert 'midtoken_requests_total{model="bundled",outcome="answered"} 2.0' in figures
        assert "midtoken_front" not in client.get(f"{url}/metrics").text


def test_it_is_put_into_the_server_that_starts_next(serve, monkeypatch):
    monkeypatch.setattr(uvicorn.config, "HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))
    (middleware,) = front_module.prepare()
    with listening(middleware.cls(serve().app, *middleware.args, **middleware.kwargs)) as url, connected(url) as one:
        one.sendall(b"nothing\r\n\r\n")
        assert b'"bad-request"' in rest(one)
        figures = httpx.get(f"{url}/metrics", headers=HEADERS).text
        assert 'midtoken_front_refusals_total{code="bad-request"} 1.0' in figures
