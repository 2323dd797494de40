"""What is copied, against the formula; copying together with healing and the cache."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.config import HealingParams, StopParams
from engine.healing.first_step import heal
from engine.healing.prefix_index import SortedIndex
from engine.prompt.fim import Prompt
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.copy_mixture import Copier, copier
from engine.runtime.token_cache import TokenCache
from engine.runtime.token_names import token_names
from engine.types import CancellationToken, CompletionRequest, FloatArray, IdArray, TokenIds
from tests.fakes import FakeSession, fake_completer, hash_model, toy_fim, toy_tokenizer
from tests.reference.copying import mixed_distribution
from tests.reference.covers import conditional_distribution, total_variation

SIZE, CONTROL = 8, 0
WEIGHTS = (0.2, 0.5, 0.9)
MODEL = hash_model(SIZE)


def a_copier(weights: tuple[float, ...] = WEIGHTS) -> Copier:
    return Copier(weights, np.arange(SIZE) == CONTROL, token_names([b"+"] * SIZE))


def array(ids: list[int]) -> IdArray:
    return np.array(ids, np.int32)


def softmax(row: FloatArray) -> NDArray[np.float64]:
    shifted = np.exp(row.astype(np.float64) - row.max())
    distribution: NDArray[np.float64] = shifted / shifted.sum()
    return distribution


texts = st.lists(st.integers(0, 4), max_size=40)


@given(texts, texts, st.sampled_from([WEIGHTS, (0.5,), (0.0, 0.7)]))
def test_the_law_is_the_mixture(ids: list[int], source: list[int], weights: tuple[float, ...]):
    row = MODEL(tuple(ids))
    before = row.copy()
    mixed = a_copier(weights).mixed(array(ids), row, array(source))
    np.testing.assert_allclose(
        softmax(mixed), mixed_distribution(ids, softmax(row), weights, source, {CONTROL}), atol=1e-6
    )
    np.testing.assert_array_equal(row, before)


@pytest.mark.parametrize(
    ("source", "ids", "length", "copied"),
    [
        ([5, 6, 7], [5, 6], 2, {7: 1.0}),
        ([5, 6, 7], [3, 6], 1, {7: 1.0}),
        ([4, 6, 7, 3, 4, 6, 5], [2, 4, 6], 2, {5: 0.5, 7: 0.5}),
        ([6, 7, 6, 7, 6, 5], [6], 1, {7: 2 / 3, 5: 1 / 3}),
        ([5, 6], [5, 6], 0, {}),  # nothing follows there
        ([5, CONTROL, 6], [5], 0, {}),
        ([CONTROL, 5], [CONTROL], 0, {}),
        ([CONTROL, 5, 6], [CONTROL, 5], 2, {6: 1.0}),
        ([3, 4, 5, 6, 7], [2, 3, 4, 5, 6], 3, {7: 1.0}),  # no more than there are weights
        ([5, 6], [], 0, {}),
        ([], [5], 0, {}),
    ],
)
def test_what_is_copied(source: list[int], ids: list[int], length: int, copied: dict[int, float]):
    found = a_copier().copied(array(ids), array(source))
    if not length:
        assert found is None
        return
    assert found is not None
    assert found.length == length
    assert dict(zip(found.tokens.tolist(), found.shares.tolist(), strict=True)) == pytest.approx(copied)


def test_what_the_model_rules_out_can_be_copied():
    row = np.zeros(SIZE, np.float32)
    row[7] = -np.inf
    assert softmax(a_copier().mixed(array([5, 6]), row, array([5, 6, 7])))[7] == pytest.approx(0.5)


def test_padding_of_the_head_does_not_count():
    ids, source, row = array([5, 6]), array([5, 6, 7]), MODEL((5,))
    padded = np.concatenate([row, np.full(8, 50.0, np.float32)])
    np.testing.assert_array_equal(a_copier().mixed(ids, padded, source)[:SIZE], a_copier().mixed(ids, row, source))


@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=12), min_size=1, max_size=8), st.integers(1, 5))
def test_the_cache_gives_the_same_rows_whatever_was_asked_before(sequences: list[list[int]], chunk: int):
    cache, source = TokenCache(FakeSession(MODEL), chunk=chunk, copier=a_copier()), array([2, 3, 1, 3, 4, 2, 3, 3])
    cache.copy_from(source, array([5]))
    together = cache.rows_after([array(ids) for ids in sequences], lambda: None)
    for ids, row in zip(sequences, together, strict=True):
        expected = a_copier().mixed(array(ids), MODEL(tuple(ids)), source)
        np.testing.assert_allclose(row, expected, rtol=1e-6)
        all_rows, _ = cache.prefill(array(ids), range(len(ids)), lambda: None)
        np.testing.assert_allclose(all_rows[-1], expected, rtol=1e-6)
        assert not row.flags.writeable


def test_the_cache_copies_from_what_it_is_told_and_remembers_rows_as_long_as_that_stays():
    session = FakeSession(MODEL)
    cache = TokenCache(session, copier=a_copier())
    ids, source = array([5, 6]), array([5, 6, 7])
    for text in (source[:0], source, source.copy(), source[:0]):
        before = session.calls
        cache.copy_from(text, array([5]))
        row = cache.row_after(ids, lambda: None)
        np.testing.assert_allclose(row, a_copier().mixed(ids, MODEL((5, 6)), text), rtol=1e-6)
        assert (session.calls == before) == (text is not source and len(text) > 0)


def test_without_weights_nothing_is_forgotten():
    session = FakeSession(MODEL)
    cache = TokenCache(session)
    for text in ([], [5, 6], [5, 7]):
        cache.copy_from(array(text), array([5]))
        np.testing.assert_array_equal(cache.row_after(array([5, 6]), lambda: None), MODEL((5, 6)))
    assert session.calls == 1


@pytest.mark.parametrize("text", ["impo", "import nump", "return s", "num"])
@pytest.mark.parametrize("seed", range(3))
def test_healing_is_exact_for_the_mixed_distribution(text: str, seed: int):
    tokenizer = toy_tokenizer("superword")
    copies = copier((0.3, 0.6, 0.9), tokenizer.vocabulary)
    assert copies is not None
    model = hash_model(tokenizer.vocabulary.size, salt=seed)

    def logits_of(history: TokenIds) -> FloatArray:
        return copies.mixed(array(list(history)), model(history), source)

    context, tail = tokenizer.encode("\nimport numpy as np\nreturn self\nnumber\n"), tokenizer.encode(text)
    prompt, source = Prompt(array([*context, *tail]), tail, "plain"), array(list(context))
    cache = TokenCache(FakeSession(model), copier=copies)
    cache.copy_from(source, array([5]))
    result = heal(
        prompt,
        cache,
        tokenizer,
        SortedIndex(tokenizer.vocabulary),
        HealingParams(mode="exact"),
        Checkpoint(CancellationToken()),
        best_only=False,
    )
    covers = [result.first.cover(index) for index in range(len(result.first.ids))]
    weights = {
        (*tail[: cover.kept - len(context)], *cover.extra, cover.token): float(np.exp(cover.logprob))
        for cover in covers
        if result.is_valid(cover)
    }
    distribution = {sequence: weight / sum(weights.values()) for sequence, weight in weights.items()}
    truth = conditional_distribution(text.encode(), context, logits_of, tokenizer)
    assert total_variation(distribution, truth) <= 5e-6
    assert total_variation(distribution, conditional_distribution(text.encode(), context, model, tokenizer)) > 1e-3


@pytest.mark.parametrize("place", ["in the window", "far above", "far below"])
@pytest.mark.parametrize("slots", [1, 8])
def test_a_name_is_completed_from_anywhere_in_the_document(place: str, slots: int):
    tokenizer = toy_tokenizer("byte-level")
    completer, _ = fake_completer(tokenizer, copying=(0.3, 0.9, 0.99), fim=toy_fim(tokenizer, "spm"), slots=slots)
    line, filler = "x = gizmo(total)\n", "".join(f"n{number} = {number}\n" for number in range(500))
    prefix = {"in the window": line, "far above": line + filler, "far below": filler}[place] + "y = giz"
    suffix = "\n" + filler + line if place == "far below" else ""
    stop = StopParams(max_new_tokens=24)
    (completion,) = completer.complete(CompletionRequest(prefix, suffix, stop=stop)).completions
    assert completion.text.startswith("mo")
    plain, _ = fake_completer(tokenizer, fim=toy_fim(tokenizer, "spm"))
    (without,) = plain.complete(CompletionRequest(prefix, suffix, stop=stop)).completions
    assert not without.text.startswith("mo")


def test_control_tokens_are_the_vocabularys():
    vocabulary = toy_tokenizer("superword").vocabulary
    made = copier((0.1, 0.2), vocabulary)
    assert made is not None
    assert made.weights == (0.1, 0.2)
    assert set(np.flatnonzero(made.control).tolist()) == set(vocabulary.control_ids)


@pytest.mark.parametrize("weights", [(), (0.0, 0.0)])
def test_a_model_without_weights_copies_nothing(weights: tuple[float, ...]):
    assert copier(weights, toy_tokenizer("superword").vocabulary) is None
