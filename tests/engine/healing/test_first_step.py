"""The model calls of an exactly healed first step: a batch of prefixes gives the same result as one by one, faster."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import BUNDLED_MODEL
from engine.config import HealingParams
from engine.healing.exact import (
    ScoredRows,
    branch_bounds,
    branch_groups,
    branch_sequences,
    log_weight,
    path_groups,
    plan_exact,
    score_path,
)
from engine.healing.first_step import Healed, heal
from engine.healing.k_step import FirstStep
from engine.healing.prefix_index import SortedIndex
from engine.prompt.fim import Prompt
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.token_cache import TokenCache
from engine.sampling import log_sum_exp
from engine.text.tokenizer import Tokenizer
from engine.types import CancellationToken, IdArray, TokenIds
from tests.fakes import FakeSession, hash_model

CONTEXT: TokenIds = (5, 9)
# Ends that can be split in several ways; some of these are no beginning of the canonical encoding.
TEXTS = [
    "from engine.config import",
    "        exce",
    "        self._",
    "class ",
    '    """Whether the graph leaves the',
    "import ",
    "        self._buffers.copy(source, tar",
    "    wanted_inputs += [name for",
    "        key.type == wanted_type, manife",
    '        ("key/val',
    "positions: NDArray[np.int64] = np.arange",
    ", default='')!r} that the manifest does ",
]


@cache
def bundled() -> tuple[Tokenizer, SortedIndex]:
    """A vocabulary of ordinary size. In the toy vocabularies no split leaves the path in several ways."""
    tokenizer = Tokenizer((BUNDLED_MODEL / "tokenizer.json").read_text(encoding="utf-8"))
    return tokenizer, SortedIndex(tokenizer.vocabulary)


def heal_with(text: str, slots: int, *, salt: int = 0, best_only: bool = False) -> tuple[Healed, int]:
    """The first step, and the number of passes in addition to the one over the path."""
    tokenizer, index = bundled()
    tail = tokenizer.encode(text)
    session = FakeSession(hash_model(tokenizer.vocabulary.size, salt=salt), slots=slots)
    prompt = Prompt(np.array((*CONTEXT, *tail), np.int32), tail, "plain")
    checkpoint = Checkpoint(CancellationToken())
    params = HealingParams()
    result = heal(prompt, TokenCache(session), tokenizer, index, params, checkpoint, best_only=best_only)
    return result, session.calls - 1


def assert_same(left: FirstStep, right: FirstStep) -> None:
    assert left.surprise_bits == right.surprise_bits
    assert [(g.kept, g.extra, g.typed) for g in left.groups] == [(g.kept, g.extra, g.typed) for g in right.groups]
    np.testing.assert_array_equal(left.ids, right.ids)
    np.testing.assert_array_equal(left.logprobs, right.logprobs)


@settings(max_examples=30)
@given(st.sampled_from(TEXTS), st.integers(0, 50), st.booleans())
def test_prefixes_healed_at_once_are_exactly_those_healed_one_by_one(text: str, salt: int, best_only: bool):
    together, _ = heal_with(text, 8, salt=salt, best_only=best_only)
    one_by_one, _ = heal_with(text, 1, salt=salt, best_only=best_only)
    assert_same(together.first, one_by_one.first)


def test_what_lies_off_the_path_takes_a_pass_for_each_token_of_depth_and_not_for_each_branch():
    saved = 0
    for text in TEXTS:
        result, passes = heal_with(text, 16)
        extras = {group.extra for group in result.first.groups if group.extra}
        leaves = [e for e in extras if not any(other[: len(e)] == e != other for other in extras)]
        assert passes <= min(len(leaves), max(map(len, extras), default=0))
        _, alone = heal_with(text, 1)
        saved += alone - passes
    assert saved > 0


@pytest.mark.parametrize("text", TEXTS)
def test_candidates_scored_as_one_set_have_the_weights_that_they_have_alone(text: str):
    tokenizer, index = bundled()
    tail = tokenizer.encode(text)
    model = hash_model(tokenizer.vocabulary.size, salt=3)
    ids = np.array((*CONTEXT, *tail), np.int32)
    plan = plan_exact(tail, len(ids), tokenizer, index)
    assert plan is not None

    def scored(sequences: list[IdArray]) -> ScoredRows:
        rows = tuple(model(tuple(ids.tolist())) for ids in sequences)
        return ScoredRows(rows, tuple(map(log_sum_exp, rows)))

    scores = score_path(plan, scored([ids[: row + 1] for row in plan.rows]))
    branches = [branch for _, branch in branch_bounds(plan, scores)]
    rows = [scored(branch_sequences(ids, plan, branch)) for branch in branches]
    together = branch_groups(plan, scores, branches, rows)
    alone = [branch_groups(plan, scores, [one], [logits])[0] for one, logits in zip(branches, rows, strict=True)]
    for left, right in zip(together, alone, strict=True):
        np.testing.assert_array_equal(left.logprobs, right.logprobs)
    on_path = path_groups(plan, scores)
    assert log_weight([*on_path, *together]) == pytest.approx(
        math.log(sum(math.exp(log_weight([group])) for group in (*on_path, *together))), abs=1e-5
    )
    assert log_weight([]) == -math.inf
