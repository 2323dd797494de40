"""Exact token healing: every canonical way in which the typed text can go on, weighted by the model.

Write ``x`` for the bytes of the tail and ``enc`` for the tokenizer. A *cover* is a pair (h, t): ``h = enc(x[:s])`` for
a split ``0 <= s < len(x)`` and a token t whose bytes start with ``x[s:]``, where the pair is canonical: some text that
begins with ``x[:s] + bytes(t)`` has an encoding that begins with ``h + [t]``. Mostly ``x[:s] + bytes(t)`` is such a
text itself; if the tokenizer looks ahead, something must follow (`engine.text.prefix_encodings`). The weight of a cover
is ``P(h | context) * P(t | context, h)``. The token sequences that the model was trained on are canonical, and each one
whose text begins with x crosses the end of x with exactly one cover. So a draw in proportion to the weights, followed
by ordinary decoding, is a draw from the model conditioned on what was typed (token alignment, arXiv 2403.08688;
byte-level probabilities, arXiv 2410.09303; the valid covering tree, arXiv 2506.14123).

What it costs: most h are beginnings of ``enc(x)`` itself, *on the path*, so one pass over the tail gives their logits.
An h off the path leaves it after some token and adds one or two tokens. It is run in a batch with the others, but only
if the probability of its first deviating token, which is known from the path, is large enough to matter.

All weights here are relative to the tokens of the tail that every cover shares.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.healing.k_step import Cover, CoverGroup, FirstStep
from engine.healing.prefix_index import PrefixIndex
from engine.sampling import log_sum_exp
from engine.text.prefix_encodings import common_length
from engine.text.tokenizer import Tokenizer
from engine.types import FloatArray, IdArray, TokenIds

NEGLIGIBLE = 1e-6
"""Branches off the path that hold at most this share of the probability are left out when a cover is drawn."""
SMALL = 16
"""Up to this many candidates of a branch off the path are checked before a forward pass is spent on it."""


@dataclass(frozen=True, slots=True)
class Branch:
    """The covers that share one h: the first ``shared`` tokens of the tail, then the ``extra`` tokens (none on the
    path).

    ``typed`` is ``x[s:]``; ``candidates``, ``[C] int32``, are the ids whose bytes start with it.
    """

    shared: int
    extra: TokenIds
    typed: bytes
    candidates: IdArray


@dataclass(frozen=True, slots=True)
class ExactPlan:
    """All branches of a tail. ``base`` is the number of prompt tokens before the tail."""

    tail: TokenIds
    base: int
    branches: tuple[Branch, ...]

    @property
    def first(self) -> int:
        """Tail tokens that every branch keeps."""
        return min(branch.shared for branch in self.branches)

    @property
    def rows(self) -> tuple[int, ...]:
        """Ascending indices of the prompt tokens whose logits are needed: one after each split on the path."""
        last = max(branch.shared for branch in self.branches)
        return tuple(range(self.base + self.first - 1, self.base + last))


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Rows of logits, ``[V]``, and the log-sum-exp of each. The sums are kept because they take longer than everything
    else here.
    """

    logits: tuple[FloatArray, ...]
    totals: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PathScores:
    """The result of one pass over the tail: ``logits[i]`` ``[V]`` after ``first + i`` tail tokens, their log-sum-exp
    ``totals[i]``, and ``reached[i]``, the log-probability of getting there along the path.
    """

    logits: tuple[FloatArray, ...]
    totals: tuple[float, ...]
    reached: tuple[float, ...]

    def reached_by(self, at: int, token: int) -> float:
        """Log-probability of following the path to ``at`` and writing ``token`` there."""
        return self.reached[at] + float(self.logits[at][token]) - self.totals[at]


def plan_exact(tail: TokenIds, prompt_length: int, tokenizer: Tokenizer, index: PrefixIndex) -> ExactPlan | None:
    """Enumerate the branches of ``tail``. Returns None if no entry extends any end of it, or if it is not canonical
    itself.

    There is one split after every byte, from the end backwards as far as the longest entry reaches. A split counts if
    the trie has an entry that begins with the bytes after it. A split that leaves no token before the cover is used
    only if the prompt has other tokens before the tail.
    """
    vocabulary = tokenizer.vocabulary
    base = prompt_length - len(tail)
    text = vocabulary.bytes_of(tail)
    if not tail or tokenizer.encode_bytes(text) != tail:
        # Its start was cut off to fit the context. After an arbitrary cut, one cannot say what is canonical.
        return None
    heads = tokenizer.prefix_encodings(text)
    last = len(text) - len(vocabulary.token_bytes[tail[-1]])
    branches = []
    for split in range(len(text) - 1, max(0, len(text) - vocabulary.longest) - 1, -1):
        candidates = index.ids[index.slice(text[split:])]
        if not len(candidates):
            continue
        # The canonical path is a cover in any case.
        path = (tail[:-1],) if split == last else ()
        for head in dict.fromkeys((*path, *heads(split))):
            shared = common_length(head, tail)
            if base + shared > 0:
                branches.append(Branch(shared, head[shared:], text[split:], candidates))
    return ExactPlan(tail, base, tuple(branches)) if branches else None


def score_path(plan: ExactPlan, rows: ScoredRows) -> PathScores:
    """Turn the rows that the plan asked for, ``plan.rows``, into log-probabilities along the path."""
    # Whole rows of log-probabilities are never computed: the sums are enough, and cost half as much.
    reached = [0.0]
    for row, total, token in zip(rows.logits[:-1], rows.totals, plan.tail[plan.first :], strict=False):
        reached.append(reached[-1] + float(row[token]) - total)
    return PathScores(rows.logits, rows.totals, tuple(reached))


def path_groups(plan: ExactPlan, scores: PathScores) -> list[CoverGroup]:
    """The covers on the path with their log-weights."""
    weighed = []
    for branch in plan.branches:
        if not branch.extra:
            at = branch.shared - plan.first
            weighed.append(_Weighed(branch, scores.reached[at] - scores.totals[at], scores.logits[at]))
    return _groups(plan, weighed)


def branch_bounds(plan: ExactPlan, scores: PathScores) -> list[tuple[float, Branch]]:
    """The branches off the path, each with a bound on the log-weight of all its covers together, highest first.

    The bound is the probability of the first token of h that is off the path, which is known from the path.
    """
    bounds = [
        (scores.reached_by(branch.shared - plan.first, branch.extra[0]), branch)
        for branch in plan.branches
        if branch.extra
    ]
    return sorted(bounds, key=lambda pair: -pair[0])


def may_be_canonical(plan: ExactPlan, branch: Branch, tokenizer: Tokenizer) -> bool:
    """False if no candidate of ``branch`` is canonical. If there are many candidates, they are not checked, and the
    answer is True.
    """
    if len(branch.candidates) > SMALL:
        return True
    head = plan.tail[: branch.shared] + branch.extra
    return any(tokenizer.begins_a_text((*head, token)) for token in branch.candidates.tolist())


def branch_sequences(prompt: IdArray, plan: ExactPlan, branch: Branch) -> list[IdArray]:
    """The sequences whose rows score a branch off the path: one up to each of its extra tokens, ``[S] int32`` each."""
    ids = np.concatenate([prompt[: plan.base + branch.shared], np.array(branch.extra, np.int32)])
    return [ids[:end] for end in range(len(ids) - len(branch.extra) + 1, len(ids) + 1)]


def branch_groups(
    plan: ExactPlan, scores: PathScores, branches: Sequence[Branch], rows: Sequence[ScoredRows]
) -> list[CoverGroup]:
    """The covers of branches off the path from the rows of each, one after each of its extra tokens."""
    weighed = []
    for branch, scored in zip(branches, rows, strict=True):
        reached = scores.reached_by(branch.shared - plan.first, branch.extra[0])
        for row, total, token in zip(scored.logits[:-1], scored.totals, branch.extra[1:], strict=False):
            reached += float(row[token]) - total
        weighed.append(_Weighed(branch, reached - scored.totals[-1], scored.logits[-1]))
    return _groups(plan, weighed)


def log_weight(groups: Sequence[CoverGroup]) -> float:
    """Log of the weight of all covers together, ``-inf`` if there are none."""
    return log_sum_exp(np.concatenate([group.logprobs for group in groups])) if groups else -math.inf


def is_canonical(plan: ExactPlan, cover: Cover, tokenizer: Tokenizer) -> bool:
    """Whether the cover is canonical. It encodes the text that the cover writes again, or a text that continues it."""
    tokens = (*plan.tail[: cover.kept - plan.base], *cover.extra, cover.token)
    return tokenizer.begins_a_text(tokens)


def exact_first_step(groups: Sequence[CoverGroup]) -> FirstStep:
    """Normalise the weights of all groups. Their sum before that is the probability of what was typed."""
    total = log_weight(groups)
    if not math.isfinite(total):
        # The model gives probability 0 to everything that agrees with the text, so all covers are equally good.
        even = -math.log(sum(len(group.ids) for group in groups))
        return FirstStep(tuple(replace(g, logprobs=np.full_like(g.logprobs, even)) for g in groups), math.inf)
    weights = np.concatenate([group.logprobs for group in groups])
    scaled = _split(weights - weights.dtype.type(total), [len(group.ids) for group in groups])
    normalised = tuple(replace(group, logprobs=part) for group, part in zip(groups, scaled, strict=True))
    return FirstStep(normalised, max(0.0, -total / math.log(2)))


@dataclass(frozen=True, slots=True)
class _Weighed:
    """A branch with the row after its h, ``[V]``. Adding ``offset`` turns the logits of its candidates into
    log-weights.
    """

    branch: Branch
    offset: float
    row: FloatArray


def _groups(plan: ExactPlan, weighed: Sequence[_Weighed]) -> list[CoverGroup]:
    """Score the candidates of several branches together: their logits side by side, with one sum for all."""
    if not weighed:
        return []
    branches = [each.branch for each in weighed]
    sizes = [len(branch.candidates) for branch in branches]
    logits = np.concatenate([each.row[each.branch.candidates] for each in weighed])
    offsets = np.array([each.offset for each in weighed], logits.dtype)
    return [
        CoverGroup(plan.base + branch.shared, branch.extra, len(branch.typed), branch.candidates, weights)
        for branch, weights in zip(branches, _split(logits + np.repeat(offsets, sizes), sizes), strict=True)
    ]


def _split(values: FloatArray, sizes: Sequence[int]) -> list[FloatArray]:
    ends = np.cumsum(sizes).tolist()
    return [values[end - size : end] for end, size in zip(ends, sizes, strict=True)]
