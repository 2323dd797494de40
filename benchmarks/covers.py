"""Exact healing over real positions: covers and forward passes as histograms, and what our own part costs.

The passes are those of the measured model with a warm cache: the certain part of the prompt is in it, as during typing.
Our own part is also measured on the largest vocabulary found, with a model that knows the text. Its forward passes cost
nothing, so the rest is our own time.
"""

import gzip
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.documents import cuts
from benchmarks.sessions import Counting
from benchmarks.tables import BenchOptions, Cell, Ratio, Report, Table, median, percentile
from engine import BUNDLED_MODEL, Completer, HealingParams, SamplingParams
from engine.healing.first_step import choose_covers, heal
from engine.healing.prefix_index import PrefixIndex, load_or_build_index
from engine.model_folder.manifest import load_manifest
from engine.prompt.fim import Prompt
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.model_session import ModelSession
from engine.runtime.session import OrtSession
from engine.runtime.token_cache import TokenCache
from engine.sampling import build_chooser
from engine.text.tokenizer import Tokenizer
from engine.types import CancellationToken, FloatArray, IdArray

POSITIONS = 200
MOST_OWN_MS = 0.3
_EXACT = HealingParams(mode="exact")


class _KnowsTheText:
    """A model that costs nothing: noise, with most of the probability on a few tokens that a seed chooses for each
    history.
    """

    context_length = 4096
    slots = 4

    def __init__(self, size: int) -> None:
        generator = np.random.default_rng(0)
        self._rows: FloatArray = generator.standard_normal((8, size)).astype(np.float32)
        for row in self._rows:
            row[generator.integers(0, size, 50)] += 8

    def forward(self, ids: IdArray, start: int, rows: Sequence[int], slot: int = 0) -> FloatArray:
        return self._rows[[int(ids[row]) % len(self._rows) for row in rows]]

    def step(self, tokens: IdArray, starts: Sequence[int], first: int = 0) -> FloatArray:
        return self._rows[tokens % len(self._rows)]

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Nothing is kept."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """One value for each position. ``own_ms`` is measured on a new line, ``later_ms`` one typed character later."""

    passes: list[int]
    covers: list[int]
    own_ms: list[float]
    later_ms: list[float]


def run(options: BenchOptions) -> Report:
    """Heal the same positions with the model and, for our own part, on the largest vocabulary found."""
    completer = Completer.load(options.model, device=options.device)
    texts = [cut.prefix for cut in cuts(completer, POSITIONS)]
    folder = options.model or BUNDLED_MODEL
    session = OrtSession.load(folder, load_manifest(folder), device=options.device)
    tokenizer, index = _indexed((folder / "tokenizer.json").read_text(encoding="utf-8"))
    found = _measure(texts, session, tokenizer, index)
    rows = [_own_row(tokenizer, found)]
    ratios = _goals(tokenizer, found)
    if large := _largest(options.tokenizers):
        tokenizer, index = _indexed(large)
        more = _measure(texts, _KnowsTheText(tokenizer.vocabulary.size), tokenizer, index)
        rows.append(_own_row(tokenizer, more))
        ratios += _goals(tokenizer, more)
    heads = ("vocabulary", "p50 ms", "p95 ms", "a character later, p50 ms", "p95 ms")
    tables = (
        Table("our own part of an exactly healed step", heads, tuple(rows)),
        _histogram("forward passes, the model measured", found.passes),
        _histogram(
            "candidates, by powers of ten", [10 ** len(str(count - 1)) if count > 1 else 1 for count in found.covers]
        ),
    )
    conditions: dict[str, Cell] = {"positions": f"{POSITIONS} inside a token of our own sources, greedy"}
    return Report("covers", conditions, tables, tuple(ratios))


def _measure(texts: list[str], session: ModelSession, tokenizer: Tokenizer, index: PrefixIndex) -> _Measured:
    counting = Counting(session)
    cache, chooser = TokenCache(counting), build_chooser(SamplingParams())
    found = _Measured([], [], [], [])
    checkpoint = Checkpoint(CancellationToken())

    def own_ms(text: str, *, fresh: bool) -> float:
        boundary = tokenizer.split_stable(text, text.rfind("\n") + 1)
        context, tail = tokenizer.encode_split(text, boundary)
        ids = np.array((*context, *tail), np.int32)[-session.context_length :]
        if fresh:
            # The certain part first, as at a keystroke.
            cache.prefill(ids[: len(ids) - len(tail)], (len(ids) - len(tail) - 1,), checkpoint)
            counting.passes = 0
        started = time.perf_counter()
        healed = heal(Prompt(ids, tail, "plain"), cache, tokenizer, index, _EXACT, checkpoint, best_only=True)
        choose_covers(healed, chooser, 1)
        own = (time.perf_counter() - started - healed.model_seconds) * 1000
        if fresh:
            found.passes.append(counting.passes)
            found.covers.append(len(healed.first.ids))
        return own

    for text in texts:
        found.own_ms.append(own_ms(text[:-1], fresh=True))
        found.later_ms.append(own_ms(text, fresh=False))
    return found


def _indexed(tokenizer_json: str) -> tuple[Tokenizer, PrefixIndex]:
    tokenizer = Tokenizer(tokenizer_json)
    return tokenizer, load_or_build_index(tokenizer.vocabulary, None, "")


def _largest(folder: Path | None) -> str | None:
    files = sorted(folder.glob("*.json.gz"), key=lambda path: path.stat().st_size) if folder else []
    return gzip.decompress(files[-1].read_bytes()).decode() if files else None


def _own_row(tokenizer: Tokenizer, found: _Measured) -> tuple[Cell, ...]:
    values = [value for own in (found.own_ms, found.later_ms) for value in (median(own), percentile(own, 95))]
    return (f"{tokenizer.vocabulary.size:,} entries", *values)


def _goals(tokenizer: Tokenizer, found: _Measured) -> list[Ratio]:
    entries = f"{tokenizer.vocabulary.size:,} entries"
    return [
        Ratio(f"own part{when}, median ms / {MOST_OWN_MS} ms, {entries}", median(own) / MOST_OWN_MS, 1.0)
        for when, own in (("", found.own_ms), (" a character later", found.later_ms))
    ]


def _histogram(title: str, values: list[int]) -> Table:
    counts = Counter(values)
    rows = tuple(
        (f"{value:,}", counts[value], "#" * round(40 * counts[value] / len(values))) for value in sorted(counts)
    )
    return Table(title, ("up to" if "powers" in title else "number", "positions", ""), rows)
