"""How far ``exact`` is from the truth on a real model: the distribution of the next three bytes.

    python -m benchmarks.real_exactness CASES.jsonl --model MODEL --places 50

The truth is brute force: every token sequence, canonical or not, that agrees with the typed text and has at least
THRESHOLD of its probability is continued for three bytes. A mode is continued from its first step in the same way. The
total variation between the two is printed, for ``exact`` and for the other modes. What is below the threshold is lost
on both sides; the share that was followed is printed.
"""

import json
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.arguments import parser_for
from benchmarks.baselines import Estimate, bootstrap
from engine import HealingParams, MidtokenError
from engine.config import BaselineMode, HealingMode
from engine.healing.first_step import heal
from engine.loading import LoadedModel, load_model
from engine.prompt.fim import Prompt
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.token_cache import TokenCache
from engine.sampling import log_softmax
from engine.types import CancellationToken, FloatArray, IdArray, TokenIds
from lsp_server.commands.evaluation import Case, read_cases
from lsp_server.commands.progress import progress_bar

MODES: tuple[HealingMode | BaselineMode, ...] = ("off", "k-step", "constrained", "exact")
AHEAD_BYTES = 3
THRESHOLD = 1e-4
PROMPT_CHARACTERS = 600
END = b"<end>"

NextBytes = dict[bytes, float]
Rows = Callable[[TokenIds], FloatArray]
"""Returns log-probabilities, ``[V]``, after the context and some tokens."""


@dataclass(frozen=True, slots=True)
class Place:
    """One case as token ids: the certain tokens before the tail, and the tail, whose bytes are ``typed``."""

    context: TokenIds
    tail: TokenIds
    typed: bytes


class NextLogits:
    """The model after the context of one place. Rows are remembered, because all modes need the same ones."""

    def __init__(self, model: LoadedModel, cache: TokenCache, context: TokenIds) -> None:
        self._size = model.tokenizer.vocabulary.size
        self._cache = cache
        self._context = context
        self._known: dict[TokenIds, FloatArray] = {}

    def __call__(self, written: TokenIds) -> FloatArray:
        """Log-probabilities after ``written``."""
        if written not in self._known:
            ids: IdArray = np.array((*self._context, *written), np.int32)
            self._known[written] = log_softmax(self._cache.row_after(ids, _go_on)[: self._size].copy())
        return self._known[written]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one row for each mode; exit status 1 with one line if that cannot be done."""
    parser = parser_for(__doc__, model=True)
    parser.add_argument("cases", type=Path, metavar="CASES.jsonl")
    parser.add_argument("--places", type=int, default=50)
    parser.add_argument("--json", action="store_true", help="print every place as a line")
    args = parser.parse_args(arguments)
    try:
        cases = read_cases(args.cases.read_text(encoding="utf-8").split("\n"), str(args.cases))[: args.places]
        model = load_model(args.model, "cpu", None, 1024)
    except (MidtokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    cache = TokenCache(model.session)
    progress = progress_bar("places")
    distances: dict[str, list[float]] = defaultdict(list)
    followed: list[float] = []
    for number, case in enumerate(cases, 1):
        found, share = compare(model, cache, place_of(model, case))
        followed.append(share)
        for mode, distance in found.items():
            distances[mode].append(distance)
        if args.json:
            print(json.dumps({"id": case.id, "followed": share, **found}), flush=True)
        progress(number, len(cases))
    print(f"{len(cases)} places, {AHEAD_BYTES} bytes ahead; {np.mean(followed):.2%} of the truth followed")
    for mode, values in distances.items():
        print(f"  {mode:<12} {_line(bootstrap(values))}   largest {max(values):.4f}")
    return 0


def place_of(model: LoadedModel, case: Case) -> Place:
    """The end of a case's prefix as a prompt without a middle, its tail from the start of the cursor's line."""
    prefix = case.prefix[-PROMPT_CHARACTERS:]
    boundary = model.tokenizer.split_stable(prefix, prefix.rfind("\n") + 1)
    context, tail = model.tokenizer.encode_split(prefix, boundary)
    control = model.manifest.control
    start = (control.end[0] if control.begin is None else control.begin,)
    return Place((*start, *context), tail, model.tokenizer.vocabulary.bytes_of(tail))


def compare(model: LoadedModel, cache: TokenCache, place: Place) -> tuple[dict[str, float], float]:
    """The total variation of each mode from the truth, and the share of the truth that was followed."""
    logits = NextLogits(model, cache, place.context)
    starts = {mode: first_step(model, cache, place, mode) for mode in MODES}
    # The threshold is relative to the probability of the typed text, which exact healing computes.
    typed = log_probability_of_typed(starts["exact"], logits)
    truth, total = brute_force(model, place, logits, math.log(THRESHOLD) + typed)
    found: dict[str, float] = {}
    for mode, covers in starts.items():
        next_bytes = follow(model, covers, len(place.typed), logits, math.log(THRESHOLD))
        found[mode] = total_variation(truth, next_bytes)
    return found, min(1.0, total / math.exp(typed))


def first_step(
    model: LoadedModel, cache: TokenCache, place: Place, mode: HealingMode | BaselineMode
) -> dict[TokenIds, float]:
    """The first step of a mode: token sequences after the context with their log-probabilities."""
    prompt = Prompt(np.array((*place.context, *place.tail), np.int32), place.tail, "plain")
    params = HealingParams(mode=mode)
    healed = heal(prompt, cache, model.tokenizer, model.index, params, Checkpoint(CancellationToken()), best_only=False)
    starts: dict[TokenIds, float] = {}
    logprobs = healed.first.logprobs
    for index in np.flatnonzero(logprobs > math.log(THRESHOLD)).tolist():
        cover = healed.first.cover(index)
        if healed.is_valid(cover):
            kept = place.tail[: cover.kept - len(place.context)]
            starts[*kept, *cover.extra, cover.token] = float(logprobs[index])
    return starts


def log_probability_of_typed(starts: Mapping[TokenIds, float], logits: Rows) -> float:
    """The natural logarithm of the probability of the typed text: the probability of one start divided by its share."""
    tokens, share = max(starts.items(), key=lambda start: start[1])
    return sum(float(logits(tokens[:at])[token]) for at, token in enumerate(tokens)) - share


def brute_force(model: LoadedModel, place: Place, logits: Rows, least: float) -> tuple[NextBytes, float]:
    """The distribution of the bytes after the typed ones over all token sequences, and their probability before it is
    normalised.

    ``least`` is the natural logarithm of the probability below which a sequence is not followed.
    """
    vocabulary = model.tokenizer.vocabulary
    starts: dict[TokenIds, float] = {}
    open_ends: list[tuple[TokenIds, bytes, float]] = [((), place.typed, 0.0)]
    while open_ends:
        written, left, mass = open_ends.pop()
        row = logits(written)
        crossing = model.index.ids[model.index.slice(left)]
        for token in crossing[row[crossing] + mass > least].tolist():
            starts[*written, token] = mass + float(row[token])
        for length in range(1, min(len(left), vocabulary.longest + 1)):
            entries = model.index.slice(left[:length])
            token = int(model.index.ids[entries.start]) if entries.start < entries.stop else -1
            if token >= 0 and len(vocabulary.token_bytes[token]) == length and row[token] + mass > least:
                open_ends.append(((*written, token), left[length:], mass + float(row[token])))
    return _scaled(_followed(model, starts, len(place.typed), logits, least))


def follow(model: LoadedModel, starts: Mapping[TokenIds, float], typed: int, logits: Rows, least: float) -> NextBytes:
    """The distribution of the bytes after the ``typed`` ones when the model continues from ``starts``."""
    return _scaled(_followed(model, starts, typed, logits, least))[0]


def total_variation(left: Mapping[bytes, float], right: Mapping[bytes, float]) -> float:
    """Half the sum of absolute differences."""
    return sum(abs(left.get(key, 0.0) - right.get(key, 0.0)) for key in {*left, *right}) / 2


def _followed(
    model: LoadedModel, starts: Mapping[TokenIds, float], typed: int, logits: Rows, least: float
) -> NextBytes:
    vocabulary = model.tokenizer.vocabulary
    found: NextBytes = defaultdict(float)
    pending = list(starts.items())
    while pending:
        written, mass = pending.pop()
        text = vocabulary.bytes_of(written)[typed:]
        if written[-1] in vocabulary.control_ids:
            found[text + END] += math.exp(mass)
        elif len(text) >= AHEAD_BYTES:
            found[text[:AHEAD_BYTES]] += math.exp(mass)
        else:
            row = logits(written)
            going_on = np.flatnonzero(row + mass > least).tolist()
            pending.extend(((*written, token), mass + float(row[token])) for token in going_on)
    return found


def _scaled(found: NextBytes) -> tuple[NextBytes, float]:
    total = sum(found.values())
    return {text: mass / total for text, mass in found.items()} if total else {}, total


def _line(estimate: Estimate) -> str:
    return f"mean {estimate.mean:.5f} [{estimate.low:.5f}, {estimate.high:.5f}]"


def _go_on() -> None:
    """A checkpoint that never stops: a benchmark is not cancelled."""


if __name__ == "__main__":
    sys.exit(main())
