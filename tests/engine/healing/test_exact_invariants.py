"""Invariants of exact healing on any vocabulary, also real ones: covers begin with the typed text and are canonical."""

from functools import cache

import numpy as np
import pytest

from engine.config import HealingParams, SamplingParams
from engine.healing.exact import plan_exact
from engine.healing.first_step import choose_covers, heal
from engine.healing.prefix_index import SortedIndex
from engine.prompt.fim import Prompt
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.token_cache import TokenCache
from engine.sampling import build_chooser
from engine.text.tokenizer import Tokenizer
from engine.types import CancellationToken, FloatArray, TokenIds
from tests.fakes import FakeSession, toy_tokenizer
from tests.real import NAMES, real_tokenizer

HARD_TAILS = (
    "http:", "http", "intermed", "Hello, worl", "Recurre", "Nod", "re", "from sym", "import nump", "np.ar", " [", '{"',
    '"', " ", "  ", "   ", "       ", "        ", "\t", "\t\t", "x\r\n", "x\n    ", "\n  ", "12", "1234", "1234567",
    "don'", "I'l", "é", "e\u0301", "👩\u200d👩", "广州的白云", "a" * 64, "<|endof", "<|endoftext|>", "self.conf",
)  # fmt: skip


@pytest.mark.parametrize("text", HARD_TAILS)
def test_invariants_on_a_sentencepiece_vocabulary(text: str) -> None:
    check_invariants(toy_tokenizer("sentencepiece"), SortedIndex(toy_tokenizer("sentencepiece").vocabulary), text)


def check_invariants(tokenizer: Tokenizer, index: SortedIndex, text: str) -> None:
    """Covers begin with the typed bytes, the canonical path is a cover, none occurs twice, none has a control token."""
    tail = tokenizer.encode(text)
    plan = plan_exact(tail, len(tail) + 1, tokenizer, index)
    assert plan is not None, "every text can be written by its own encoding"
    data = tokenizer.vocabulary.bytes_of(tail)
    token_bytes = tokenizer.vocabulary.token_bytes
    seen = set()
    for branch in plan.branches:
        head = (*tail[: branch.shared], *branch.extra)
        assert tokenizer.vocabulary.bytes_of(head) + branch.typed == data
        assert all(token_bytes[t].startswith(branch.typed) for t in branch.candidates[:50].tolist())
        assert head not in seen, "no cover twice"
        seen.add(head)
    canonical = [b for b in plan.branches if (*tail[: b.shared], *b.extra) == tail[:-1]]
    assert any(tail[-1] in branch.candidates for branch in canonical), "the canonical path is a cover"
    assert not tokenizer.vocabulary.control_ids & {t for b in plan.branches for t in b.extra}


@cache
def real_index(name: str) -> tuple[Tokenizer, SortedIndex]:
    tokenizer = real_tokenizer(name)
    return tokenizer, SortedIndex(tokenizer.vocabulary)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", HARD_TAILS)
def test_invariants_on_real_vocabularies(name: str, text: str) -> None:
    check_invariants(*real_index(name), text)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", HARD_TAILS)
def test_greedy_on_real_vocabularies_writes_what_is_typed(name: str, text: str) -> None:
    tokenizer, index = real_index(name)
    tail = tokenizer.encode(text)
    size = tokenizer.vocabulary.size

    def logits_of(history: TokenIds) -> FloatArray:
        row: FloatArray = np.random.default_rng(len(history)).standard_normal(size).astype(np.float32)
        return row

    session = FakeSession(logits_of)
    prompt = Prompt(np.array((0, *tail), np.int32), tail, "plain")
    checkpoint = Checkpoint(CancellationToken())
    params = HealingParams(mode="exact")
    result = heal(prompt, TokenCache(session), tokenizer, index, params, checkpoint, best_only=True)
    (cover,) = choose_covers(result, build_chooser(SamplingParams()), 1)
    ids = (*tail[: cover.kept - 1], *cover.extra, cover.token)
    written = tokenizer.vocabulary.bytes_of(ids)
    assert written.startswith(text.encode())
    assert len(written) - len(tokenizer.vocabulary.token_bytes[cover.token]) + cover.typed == len(text.encode())
    assert tokenizer.encode_bytes(written) == ids
