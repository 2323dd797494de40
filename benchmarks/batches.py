"""Strategies that follow several sequences: all sequences of a level in one pass, against one after the other.

Each strategy runs twice on the same cuts, with a session that holds several sequences and with the same session bound
to one, which goes back in its cache for every other sequence. Both, and greedy, take turns in one process, each with a
cache of its own that holds the prompt and nothing that the others wrote.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from benchmarks.documents import Cut, cuts
from benchmarks.sessions import Counting
from benchmarks.tables import BenchOptions, Cell, Ratio, Report, Table, interleave, median, median_ratio
from engine import BUNDLED_MODEL, Completer, CompletionRequest, SamplingParams, StopParams
from engine.healing.prefix_index import PrefixIndex, load_or_build_index
from engine.model_folder.manifest import load_manifest
from engine.runtime.session import OrtSession

POSITIONS = 40
MAX_NEW_TOKENS = 24
GREEDY = "greedy"
STRATEGIES: Mapping[str, tuple[SamplingParams, int]] = {
    GREEDY: (SamplingParams(), 1),
    "greedy, 3 candidates": (SamplingParams(), 3),
    "beam 3": (SamplingParams("beam", beam_width=3), 1),
    "beam 4": (SamplingParams("beam"), 1),
    "beam 8": (SamplingParams("beam", beam_width=8), 1),
    "best-first 4": (SamplingParams("best-first"), 1),
    "branch 3": (SamplingParams("branch"), 1),
    "sed, ratio 0.5": (SamplingParams("sed", sed_ratio=0.5), 1),
    "kl": (SamplingParams("kl", seed=1), 1),
}
"""Parameters and number of candidates of each strategy."""


@dataclass(slots=True)
class _Runner:
    """A strategy over a cache of its own; ``texts`` are what it wrote."""

    completer: Completer
    session: Counting
    params: SamplingParams
    candidates: int
    positions: list[Cut]
    passes: list[int] = field(default_factory=list)
    texts: list[tuple[str, ...]] = field(default_factory=list)

    def measurer(self) -> Callable[[], float]:
        """A function that completes at the next position and returns the milliseconds that it took."""
        number = count()

        def measure() -> float:
            cut = self.positions[next(number) % len(self.positions)]
            stop = StopParams(max_new_tokens=1)
            # The prompt (and the strategy's own second prompt) is in the cache, as at a keystroke.
            self.completer.complete(CompletionRequest(cut.prefix, sampling=self.params, stop=stop))
            self.session.passes = 0
            request = CompletionRequest(
                cut.prefix,
                max_completions=self.candidates,
                sampling=self.params,
                stop=StopParams(max_new_tokens=MAX_NEW_TOKENS),
            )
            started = time.perf_counter()
            found = self.completer.complete(request)
            taken = (time.perf_counter() - started) * 1000
            self.passes.append(self.session.passes)
            self.texts.append(tuple(completion.text for completion in found.completions))
            return taken

        return measure


def run(options: BenchOptions) -> Report:
    """Measure every strategy both ways."""
    folder = options.model or BUNDLED_MODEL
    loaded = Completer.load(folder, device=options.device)
    session = OrtSession.load(folder, load_manifest(folder), device=options.device)
    positions = cuts(loaded, options.repetitions or POSITIONS)
    index = load_or_build_index(loaded.tokenizer.vocabulary, None, "")
    runners = {
        (name, slots): _runner(Counting(session.sibling(), slots), loaded, index, params, candidates, positions)
        for name, (params, candidates) in STRATEGIES.items()
        for slots in (1, session.slots)
    }
    variants = {f"{name}/{slots}": runner.measurer() for (name, slots), runner in runners.items()}
    interleave(variants, 1)  # so that work on first use is not counted
    for runner in runners.values():
        runner.passes.clear()
        runner.texts.clear()
    figures = interleave(variants, len(positions), options.progress)
    return _report(session.slots, runners, figures)


def _runner(
    session: Counting,
    loaded: Completer,
    index: PrefixIndex,
    params: SamplingParams,
    candidates: int,
    positions: list[Cut],
) -> _Runner:
    completer = Completer(session, loaded.tokenizer, index, loaded.manifest, loaded.info)
    return _Runner(completer, session, params, candidates, positions)


def _report(slots: int, runners: Mapping[tuple[str, int], _Runner], figures: Mapping[str, list[float]]) -> Report:
    greedy = figures[f"{GREEDY}/1"]
    rows: list[tuple[Cell, ...]] = []
    ratios: list[Ratio] = []
    for name in STRATEGIES:
        alone, together = runners[name, 1], runners[name, slots]
        cells: list[Cell] = [name]
        for number, runner in ((1, alone), (slots, together)):
            values = figures[f"{name}/{number}"]
            passes = sum(runner.passes) / max(1, sum(runners[GREEDY, 1].passes))
            cells += [median(values), passes, sum(values) / sum(greedy)]
        same = sum(left == right for left, right in zip(alone.texts, together.texts, strict=True)) / len(alone.texts)
        rows.append((*cells, f"{same:.1%}"))
        if name != GREEDY:
            ratios.append(
                Ratio(f"{name}: batch / one by one", median_ratio(figures[f"{name}/{slots}"], figures[f"{name}/1"]))
            )
    columns = ("strategy", "ms p50", "passes / greedy", "time / greedy")
    return Report(
        "batches",
        {
            "positions": f"{len(greedy)} inside a token of our own sources, up to {MAX_NEW_TOKENS} tokens",
            "slots": slots,
        },
        (
            Table(
                "one by one, then as batches",
                (*columns, *(f"batch {column}" for column in columns[1:]), "same texts"),
                tuple(rows),
            ),
        ),
        tuple(ratios),
    )
