import hashlib
from collections.abc import Callable
from functools import partial

import pytest

from engine import RequestError
from lsp_server.team.config import TokenConfig
from lsp_server.team.protocol import Refusal
from lsp_server.team.tokens import Tokens

ALICE = "the-token-of-alice"
BOB = "the-token-of-bob-!"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "alice"
    path.write_text(f"{ALICE}\n")
    return path


@pytest.fixture
def tokens(file, clock):
    configs = (TokenConfig("alice", file=file), TokenConfig("bob", sha256=digest(BOB), models=("small",)))
    return Tokens(configs, {}, clock)


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as raised:
        call()
    return raised.value.code


def test_each_token_is_its_holders(tokens):
    tokens.check()
    assert tokens.bearer(f"Bearer {ALICE}").config.name == "alice"
    assert tokens.bearer(f"bearer  {BOB} ").config.name == "bob"
    assert tokens.bearer(f"Bearer {BOB}").may_use("small")
    assert not tokens.bearer(f"Bearer {BOB}").may_use("large")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", f"Basic {ALICE}", ALICE, "Bearer wrong", "Bearer " + "x" * 100_000]
)
def test_no_other_header_is_let_in(tokens, header):
    assert code_of(lambda: tokens.bearer(header)) == "unauthorised"


def test_a_token_is_revoked_by_taking_its_file_away(tokens, file, clock):
    tokens.bearer(f"Bearer {ALICE}")
    file.unlink()
    clock.now += 1.0
    assert code_of(lambda: tokens.bearer(f"Bearer {ALICE}")) == "unauthorised"
    file.write_text("sha256:" + digest("another-token-of-alice"))
    clock.now += 1.0
    assert tokens.bearer("Bearer another-token-of-alice").config.name == "alice"


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 20, b"sha256:nonsense"])
def test_a_file_without_a_good_token_lets_nobody_in(tokens, file, content):
    file.write_bytes(content)
    with pytest.raises(RequestError, match="that of alice is not in"):
        tokens.check()
    for shown in ("", "short", "sha256:nonsense", "\0" * 32):
        assert code_of(partial(tokens.bearer, f"Bearer {shown}")) == "unauthorised"


def test_the_environment_holds_the_token_or_its_digest(clock):
    environment = {"ONE": ALICE, "TWO": f"sha256:{digest(BOB)}"}
    configs = (TokenConfig("a", environment="ONE"), TokenConfig("b", environment="TWO"))
    tokens = Tokens(configs, environment, clock)
    tokens.check()
    assert tokens.bearer(f"Bearer {BOB}").config.name == "b"
    with pytest.raises(RequestError, match="environment variable TWO"):
        Tokens(configs, {"ONE": ALICE}, clock).check()


def test_without_tokens_anybody_may_ask():
    assert Tokens(()).bearer(None).may_use("everything")


def test_requests_a_second(clock):
    tokens = Tokens((TokenConfig("a", sha256=digest(ALICE), requests_per_second=2.0),), {}, clock)
    bearer = tokens.bearer(f"Bearer {ALICE}")

    def ask() -> None:
        with tokens.admitted(bearer):
            pass

    ask()
    ask()
    assert code_of(ask) == "too-many"
    clock.now += 0.5
    ask()
    assert code_of(ask) == "too-many"
    clock.now += 1000
    ask()
    ask()
    assert code_of(ask) == "too-many"


def test_concurrent_requests(clock):
    tokens = Tokens((TokenConfig("a", sha256=digest(ALICE), concurrent=1),), {}, clock)
    bearer = tokens.bearer(f"Bearer {ALICE}")
    with tokens.admitted(bearer), pytest.raises(Refusal, match="1 requests are under way"), tokens.admitted(bearer):
        pass
    with tokens.admitted(bearer):
        pass
