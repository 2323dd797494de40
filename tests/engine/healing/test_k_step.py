"""``off`` and ``k-step`` against a slow reference, over every toy vocabulary and the hard cases of the design."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.config import HealingParams
from engine.healing.k_step import FirstStep, HealingPlan, first_step, plan_healing
from engine.healing.prefix_index import SortedIndex
from engine.text.tokenizer import Tokenizer
from engine.text.vocabulary import Vocabulary
from engine.types import FloatArray, TokenIds
from tests.fakes import control_ids, hash_model, toy_tokenizer
from tests.toy import CONTROL_TOKENS, TOYS, byte_level_json, every_byte

TYPED = {
    "http:": "http:",
    "http": "url = 'http",
    "two tokens back: nump": "import nump",
    "two tokens back: impor": "impor",
    "re": "re",
    "from sy": "from sy",
    "np.ar": "np.ar",
    "bracket and quote": ' ["',
    "brace and quote": '{"',
    "quote": '"',
    "1 trailing space": "x = ",
    "2 trailing spaces": "x =  ",
    "3 trailing spaces": "x =   ",
    "7 trailing spaces": "if x:\n" + " " * 7,
    "8 trailing spaces": "if x:\n" + " " * 8,
    "tabs": "if x:\n\t\t",
    "crlf": "x = 1\r\n",
    "half a crlf": "x = 1\r",
    "white-space-only line": "x\n   \n",
    "inside indentation": "def f():\n  ",
    "utf-8: two bytes": "é",
    "utf-8: three bytes": "中",
    "utf-8: four bytes": "😀",
    "emoji with joiners": "👩\u200d👩\u200d👧",
    "composed": "\u00e9",
    "decomposed": "e\u0301",
    "2 digits": "12",
    "4 digits": "1234",
    "7 digits": "1234567",
    "contraction": "don't",
    "superword": "import num",
    "half a control token": CONTROL_TOKENS[0][:7],
    "the text of a control token": CONTROL_TOKENS[1],
    "leading space": " self",
    "the literal mark of a space": "a▁b",
    "empty": "",
    "one character": "x",
    "nothing extends it": "\x00\x01\x02",
    "doubling": "a" * 64,
}

params = st.builds(
    HealingParams,
    mode=st.just("k-step"),
    k_max=st.integers(1, 6),
    tau=st.integers(1, 40),
    mixture=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
toys = st.sampled_from(sorted(TOYS)).map(toy_tokenizer)


def scan(vocabulary: Vocabulary, typed: bytes) -> list[int]:
    """Ids whose bytes start with ``typed``, by looking at every entry."""
    allowed = set(vocabulary.candidate_ids.tolist())
    return [i for i, data in enumerate(vocabulary.token_bytes) if i in allowed and data.startswith(typed)]


def slow_plan(
    tail: TokenIds, prompt_length: int, vocabulary: Vocabulary, params: HealingParams
) -> tuple[int, list[int]]:
    """Tokens dropped and candidates, as the design page defines them."""
    if params.mode == "off":
        return 0, []
    for k in range(1, params.k_max + 1):
        if k > len(tail) or k >= prompt_length:
            break
        candidates = scan(vocabulary, b"".join(vocabulary.token_bytes[token] for token in tail[-k:]))
        if len(candidates) >= params.tau:
            return k, candidates
    return 0, []


def slow_first_step(
    plan: tuple[int, list[int]], rows: Sequence[FloatArray], mixture: float
) -> dict[tuple[int, int], float]:
    """Probability of every (tokens dropped, token), in double precision."""
    dropped, candidates = plan
    if dropped == 0:
        return {(0, i): p for i, p in enumerate(softmax(rows[0]))}
    healed = softmax(rows[0])[candidates]
    result = {(dropped, i): mixture * p for i, p in zip(candidates, healed / healed.sum(), strict=True)}
    if mixture < 1:
        result |= {(0, i): (1 - mixture) * p for i, p in enumerate(softmax(rows[1]))}
    return {key: p for key, p in result.items() if p > 0}


def softmax(row: FloatArray) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.exp(row.astype(np.float64) - row.max())
    weights /= weights.sum()
    return weights


def distribution(step: FirstStep, prompt_length: int) -> dict[tuple[int, int], float]:
    covers = [step.cover(i) for i in range(len(step.ids))]
    return {(prompt_length - c.kept, c.token): math.exp(c.logprob) for c in covers if c.logprob > -np.inf}


def plan_for(tokenizer: Tokenizer, tail: TokenIds, params: HealingParams, before: int = 1) -> HealingPlan:
    return plan_healing(tail, before + len(tail), tokenizer.vocabulary, SortedIndex(tokenizer.vocabulary), params)


def check(tokenizer: Tokenizer, tail: TokenIds, params: HealingParams, before: int = 1) -> None:
    """Plan and distribution equal those of the reference."""
    length, size = before + len(tail), tokenizer.vocabulary.size
    plan, slow = plan_for(tokenizer, tail, params, before), slow_plan(tail, length, tokenizer.vocabulary, params)
    assert (plan.dropped, sorted(plan.candidates.tolist())) == slow
    assert plan.typed == tokenizer.vocabulary.bytes_of(tail[len(tail) - plan.dropped :])
    if plan.dropped == 0:
        assert plan.rows(length) == (length - 1,)
    model = hash_model(size, order=50)
    rows = [model(tuple(range(row + 1))) for row in plan.rows(length)]
    step = first_step(plan, length, np.stack(rows))
    expected = slow_first_step(slow, rows, plan.mixture)
    found = distribution(step, length)
    assert found.keys() == expected.keys()
    assert all(found[key] == pytest.approx(expected[key], rel=1e-4) for key in expected)
    assert np.exp(step.logprobs.astype(np.float64)).sum() == pytest.approx(1.0, abs=1e-5)
    mass = softmax(rows[0])[slow[1]].sum() if slow[0] else 1.0
    assert step.surprise_bits == pytest.approx(-math.log2(mass), abs=1e-4)


@pytest.mark.parametrize("mode", ["off", "k-step"])
@pytest.mark.parametrize("toy", sorted(TOYS))
@pytest.mark.parametrize("case", TYPED)
def test_hard_case(case, toy, mode):
    tokenizer = toy_tokenizer(toy)
    check(tokenizer, tokenizer.encode(TYPED[case]), HealingParams(mode))


@given(toys, st.text(alphabet="reimport numpyself:/.htps123 \n\té中😀", max_size=12), params, st.integers(0, 2))
def test_any_text_and_parameters_agree_with_the_reference(tokenizer, text, params, before):
    tail = tokenizer.encode(text)
    check(tokenizer, tail, params, before if tail else 1)


@given(toys, st.text(alphabet="re in\n", min_size=1, max_size=8), st.integers(1, 40), st.integers(1, 40))
def test_a_higher_threshold_goes_back_further_or_gives_up(tokenizer, text, a, b):
    low, high = sorted((a, b))
    tail = tokenizer.encode(text)
    less = plan_for(tokenizer, tail, HealingParams("k-step", tau=low))
    more = plan_for(tokenizer, tail, HealingParams("k-step", tau=high))
    assert more.dropped == 0 or more.dropped >= less.dropped > 0


@pytest.mark.parametrize("toy", sorted(TOYS))
def test_control_tokens_are_never_candidates(toy):
    tokenizer = toy_tokenizer(toy)
    index = SortedIndex(tokenizer.vocabulary)
    assert not set(index.ids.tolist()) & tokenizer.vocabulary.control_ids
    for text in ("<", "<|", *CONTROL_TOKENS):
        plan = plan_for(tokenizer, tokenizer.encode(text), HealingParams("k-step", tau=1))
        assert not set(plan.candidates.tolist()) & set(control_ids(tokenizer))


def test_off_takes_nothing_back():
    tokenizer = toy_tokenizer("byte-level")
    plan = plan_for(tokenizer, tokenizer.encode("http:"), HealingParams("off"))
    assert (plan.dropped, plan.typed, len(plan.candidates)) == (0, b"", 0)


def test_one_step_back_by_hand():
    tokenizer = toy_tokenizer("byte-level")
    plan = plan_for(tokenizer, tokenizer.encode("http:"), HealingParams("k-step"))
    assert (plan.dropped, plan.typed) == (1, b":")
    assert [tokenizer.vocabulary.token_bytes[i] for i in plan.candidates] == [b":", b"://"]


@pytest.mark.parametrize(("k_max", "dropped"), [(1, 0), (2, 0), (3, 3), (4, 3)])
def test_three_steps_back_by_hand(k_max, dropped):
    # Whole entries that no merge makes: "c" extends to nothing else, "bc" to nothing at all, "abc" to two words.
    entries = [*every_byte(), b"abcd", b"abcdef"]
    tokenizer = Tokenizer(byte_level_json(entries, [], model={"ignore_merges": True}))
    plan = plan_for(tokenizer, tokenizer.encode("abc"), HealingParams("k-step", k_max=k_max))
    assert plan.dropped == dropped
    assert plan.candidates.tolist() == ([256, 257] if dropped else [])


@pytest.mark.parametrize("before", [0, 1])
def test_something_to_stand_on_always_stays(before):
    tokenizer = toy_tokenizer("byte-level")
    plan = plan_for(tokenizer, tokenizer.encode("re"), HealingParams("k-step"), before)
    assert plan.dropped == before


@pytest.mark.parametrize("k_max", [1, 2, 3])
def test_no_more_than_k_max_tokens_are_dropped(k_max):
    tokenizer = toy_tokenizer("byte-level")
    for text in TYPED.values():
        tail = tokenizer.encode(text)
        for tau in (1, 2, 5, 50):
            assert plan_for(tokenizer, tail, HealingParams("k-step", k_max=k_max, tau=tau)).dropped <= k_max


def test_long_entries():
    # A token of 128 bytes and one of 1024, each twice as long as the one before.
    pairs = [(b"a" * 2**n, b"a" * 2**n) for n in range(10)]
    tokenizer = Tokenizer(byte_level_json([*every_byte(), *(left + right for left, right in pairs)], pairs))
    for length, extensions in ((127, None), (128, 4), (512, 2), (1023, None), (1024, 1)):
        tail = tokenizer.encode("a" * length)
        if extensions is not None:
            plan = plan_for(tokenizer, tail, HealingParams("k-step", tau=1))
            assert (plan.dropped, len(plan.candidates)) == (1, extensions)
        check(tokenizer, tail, HealingParams("k-step"))


def test_a_vocabulary_that_skips_merges():
    pairs = [(b"a", b"b")]
    entries = [*every_byte(), b"ab", b"abba"]
    tokenizer = Tokenizer(byte_level_json(entries, pairs, model={"ignore_merges": True}))
    plan = plan_for(tokenizer, tokenizer.encode("ab"), HealingParams("k-step"))
    assert {tokenizer.vocabulary.token_bytes[i] for i in plan.candidates} == {b"ab", b"abba"}


def test_impossible_candidates_keep_no_mass():
    tokenizer = toy_tokenizer("byte-level")
    plan = plan_for(tokenizer, tokenizer.encode("http:"), HealingParams("k-step"))
    row = np.zeros((1, tokenizer.vocabulary.size), np.float32)
    row[0, plan.candidates[0]] = -np.inf
    assert distribution(first_step(plan, 3, row), 3) == {(1, int(plan.candidates[1])): 1.0}


@pytest.mark.parametrize("mixture", [1.0, 0.5])
def test_where_the_model_rules_out_every_candidate_they_are_equally_likely(mixture):
    tokenizer = toy_tokenizer("byte-level")
    plan = plan_for(tokenizer, tokenizer.encode("http:"), HealingParams("k-step", mixture=mixture))
    rows = np.zeros((2, tokenizer.vocabulary.size), np.float32)[: len(plan.rows(3))]
    rows[0, plan.candidates] = -np.inf
    step = first_step(plan, 3, rows)
    healed = [p for (dropped, _), p in distribution(step, 3).items() if dropped]
    assert healed == pytest.approx([mixture / 2] * 2)
    assert step.surprise_bits == math.inf


def test_a_mixture_of_one_asks_for_one_row_and_any_other_for_two():
    tokenizer = toy_tokenizer("byte-level")
    tail = tokenizer.encode("http:")
    assert plan_for(tokenizer, tail, HealingParams("k-step")).rows(3) == (1,)
    assert plan_for(tokenizer, tail, HealingParams("k-step", mixture=0.5)).rows(3) == (1, 2)
    assert plan_for(tokenizer, tail, HealingParams("k-step", mixture=0.0)).rows(3) == (1, 2)


def test_a_mixture_of_nothing_is_the_continuation_that_is_not_healed():
    tokenizer = toy_tokenizer("byte-level")
    plan = plan_for(tokenizer, tokenizer.encode("http:"), HealingParams("k-step", mixture=0.0))
    rows = np.stack([hash_model(tokenizer.vocabulary.size)((n,)) for n in range(2)])
    step = first_step(plan, 3, rows)
    assert {cover.kept for cover in map(step.cover, range(len(step.ids)))} == {3}
    np.testing.assert_allclose(np.exp(step.logprobs), softmax(rows[1]), rtol=1e-4)


def test_a_cover_is_found_in_its_group():
    tokenizer = toy_tokenizer("byte-level")
    plan = plan_for(tokenizer, tokenizer.encode("http:"), HealingParams("k-step", mixture=0.5))
    rows = np.zeros((2, tokenizer.vocabulary.size), np.float32)
    step = first_step(plan, 3, rows)
    healed, other = step.cover(1), step.cover(2)
    assert (healed.kept, healed.typed, healed.token) == (2, 1, plan.candidates[1])
    assert (other.kept, other.typed, other.token) == (3, 0, 0)
    with pytest.raises(AssertionError):
        step.cover(len(step.ids))
