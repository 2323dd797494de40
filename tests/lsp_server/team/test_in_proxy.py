"""The service within a proxy, over real sockets; Serve's own handler is one that says so."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from lsp_server.team.config import Limits, ModelConfig, TeamConfig, TokenConfig
from lsp_server.team.front import Message, Send
from lsp_server.team.in_proxy import InProxy
from lsp_server.team.ingress import Backend
from lsp_server.team.local import LocalBackend
from lsp_server.team.replica import Replica
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.team_service import HEADERS, TOKEN, WithoutSessions, eventually, listening

CONFIG = TeamConfig((ModelConfig("small", "small"),))
LONG_S = 3600.0


async def serves(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
    """What Serve does with a request that is left to it."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"Serve"})


class Known:
    """What the ingress says, and what it does: ``said`` is raised if it is an error."""

    def __init__(self, said: TeamConfig | Exception | None) -> None:
        self.said = said
        self.engine = FakeCompleter()
        self.replica = Replica(CONFIG.models[0], WithoutSessions(self.engine))
        self.backend: Backend = LocalBackend({"small": self.replica})
        self.looks = 0

    async def config(self) -> TeamConfig | None:
        self.looks += 1
        await asyncio.sleep(0)
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


@pytest.fixture
def proxy():
    known = Known(CONFIG)
    with listening(InProxy(serves, known, look_s=0.01)) as url:
        yield known, url
    known.replica.close()


def ask(url: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/complete", json={"prefix": "a"}, headers=headers, timeout=20)


def test_the_proxy_answers_itself(proxy):
    _, url = proxy
    assert ask(url).json()["completions"][0]["text"] == "one"
    assert 'midtoken_requests_total{model="small",outcome="answered"} 1.0' in httpx.get(f"{url}/metrics").text
    assert httpx.get(f"{url}/nothing").json()["error"]["code"] == "not-found"


def test_serve_keeps_its_own_addresses(proxy):
    _, url = proxy
    assert ask(url).status_code == 200
    assert httpx.get(f"{url}/-/healthz").text == "Serve"


@pytest.mark.parametrize("said", [None, RuntimeError("no replica of the ingress")])
def test_what_is_not_known_is_left_to_serve(proxy, said):
    known, url = proxy
    known.said = said
    assert ask(url).text == "Serve"
    known.said = CONFIG
    assert ask(url).json()["completions"]


def test_an_ingress_that_is_lost_changes_nothing(proxy):
    known, url = proxy
    assert ask(url).json()["completions"]
    known.said = RuntimeError("no replica of the ingress")
    before = known.looks
    eventually(lambda: known.looks > before + 1)
    assert ask(url).json()["completions"]


def test_an_application_that_is_gone_is_answered_by_serve(proxy):
    known, url = proxy
    assert ask(url).json()["completions"]
    known.said = None
    eventually(lambda: ask(url).text == "Serve")


def test_a_new_configuration_is_followed_and_counts_go_on(proxy):
    known, url = proxy
    assert ask(url).status_code == 200
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    known.said = replace(CONFIG, tokens=(TokenConfig("alice", sha256=digest),))
    eventually(lambda: ask(url).status_code == 401)
    assert ask(url, **HEADERS).status_code == 200
    text = httpx.get(f"{url}/metrics", headers=HEADERS).text
    answered = float(text.partition('midtoken_requests_total{model="small",outcome="answered"} ')[2].split()[0])
    assert answered >= 2
    assert 'midtoken_refusals_total{code="unauthorised"}' in text


def test_many_first_requests_look_once():
    known = Known(CONFIG)
    with listening(InProxy(serves, known, look_s=LONG_S)) as url, ThreadPoolExecutor(8) as threads:
        assert {answer.status_code for answer in threads.map(ask, [url] * 8)} == {200}
    assert known.looks == 1
    known.replica.close()


def test_more_connections_than_allowed_are_refused_and_counted():
    known = Known(replace(CONFIG, limits=Limits(connections=1)))
    with listening(InProxy(serves, known)) as url:
        slow = {"prefix": "!slow", "stream": True}
        with httpx.stream("POST", f"{url}/v1/complete", json=slow, timeout=20):
            assert known.engine.started.wait(20)
            refused = ask(url)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "full")
        assert refused.headers["retry-after"] == "1"
        eventually(lambda: ask(url).status_code == 200)
        refusals = httpx.get(f"{url}/metrics").text.partition('midtoken_refusals_total{code="full"} ')[2].split()[0]
        assert float(refusals) >= 1
    known.replica.close()
