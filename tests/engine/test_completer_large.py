"""Large documents cost no more than the context length; requests that cannot fit are refused."""

from collections.abc import Callable

import numpy as np
import pytest

from engine.config import HEALING_MODES, HealingParams, SamplingParams, StopParams
from engine.errors import RequestError
from engine.prompt.settled_text import MAX_TAIL_CHARACTERS
from engine.prompt.windows import CHARACTERS_PER_TOKEN
from engine.runtime.token_cache import PREFILL_CHUNK
from engine.text.tokenizer import Tokenizer
from engine.types import CompletionRequest, TokenIds
from tests.fakes import endless_completer, fake_completer, readable_model, toy_fim, toy_tokenizer

TOKENIZER = toy_tokenizer("byte-level")


def request(prefix: str = "import nump", suffix: str = "", *, tokens: int = 12, **fields) -> CompletionRequest:
    return CompletionRequest(prefix, suffix, stop=StopParams(max_new_tokens=tokens), **fields)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the texts that were tokenised."""
    lengths: list[int] = []

    def spy_on(encode: Callable[[Tokenizer, str], TokenIds]) -> Callable[[Tokenizer, str], TokenIds]:
        def spy(self: Tokenizer, text: str) -> TokenIds:
            lengths.append(len(text))
            return encode(self, text)

        return spy

    for name in ("encode", "encode_inside"):
        monkeypatch.setattr(Tokenizer, name, spy_on(getattr(Tokenizer, name)))
    return lengths


@pytest.mark.parametrize(
    ("prefix", "suffix"),
    [
        pytest.param("self.name = 1\n" * 360_000, "", id="5 MB before the cursor"),
        pytest.param("x", "self.name = 1\n" * 360_000, id="5 MB after the cursor"),
        pytest.param("a = [" + "12, " * 250_000, "]", id="a line of 1 MB"),
        pytest.param("a" * 1_000_000, "", id="a word of 1 MB"),
        pytest.param(" " * 1_000_000, "", id="1 MB of spaces"),
        pytest.param("\n" * 1_000_000, "x", id="1 MB of line breaks"),
    ],
)
@pytest.mark.parametrize("mode", HEALING_MODES)
def test_a_large_document_costs_no_more_than_the_context(prefix, suffix, mode, encoded):
    completer, session = endless_completer(context_length=256, fim=toy_fim(TOKENIZER))
    result = completer.complete(request(prefix, suffix, tokens=4, healing=HealingParams(mode)))
    assert result.prompt_tokens <= 256 - 4
    assert session.tokens <= 2 * 256
    assert session.largest_call <= PREFILL_CHUNK
    assert 0 < sum(encoded) <= 2 * 256 * CHARACTERS_PER_TOKEN + MAX_TAIL_CHARACTERS


def test_a_long_line_is_healed_from_near_the_cursor_and_a_short_one_from_before_it():
    completer, _ = endless_completer(context_length=2048)
    long = completer.trace(request("a = [" + "12, " * 250_000))
    assert 0 < len(b"".join(long.tail)) <= 16
    short = completer.trace(request("x = 1\na = [" + "12, " * 20))
    assert b"".join(short.tail).endswith(b"a = [" + b"12, " * 20)


def test_rows_beyond_the_vocabulary_are_never_chosen():
    size = TOKENIZER.vocabulary.size
    inner = readable_model(TOKENIZER, lines=False)

    def padded(history: TokenIds) -> np.ndarray:
        return np.concatenate([inner(history), np.full(100, 1e4, np.float32)])

    for sampling in (SamplingParams(), SamplingParams("sample", temperature=5.0, seed=1)):
        for mode in HEALING_MODES:
            completer, session = fake_completer(TOKENIZER, padded, head=size + 100)
            expected, _ = endless_completer()
            asked = request(sampling=sampling, healing=HealingParams(mode), max_completions=3)
            assert completer.complete(asked).completions == expected.complete(asked).completions
            assert max(session.written) < size


@pytest.mark.parametrize(("tokens", "possible"), [(61, True), (62, True), (63, False), (64, False), (4096, False)])
def test_a_request_that_leaves_no_room_for_the_prompt_is_refused(tokens, possible):
    completer, session = endless_completer(context_length=64)
    if possible:
        assert completer.complete(request(tokens=tokens)).completions
        return
    with pytest.raises(RequestError, match=rf"max_new_tokens is {tokens} .* holds 64; ask for fewer"):
        completer.complete(request(tokens=tokens))
    assert session.calls == 0


def test_the_smallest_room_still_completes_in_every_order():
    for order in ("psm", "spm"):
        completer, session = endless_completer(context_length=64, fim=toy_fim(TOKENIZER, order))
        completer.complete(request("self.name = 123", "return", tokens=59))
        assert len(session.written) <= 64
        with pytest.raises(RequestError):
            completer.complete(request("self", "return", tokens=60))
