"""What a user waits for: the first answer of a fresh process, and an answer after a typed character; and the memory.

The peers run the same graph without Midtoken (`benchmarks.bare`) on the same text for as many tokens. For the typed
character, the peer is the same request with nothing of it in the key/value cache: it reads the whole text at each
character. So a large model on a slow processor needs ``--characters`` to end soon.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import bare, programs
from benchmarks.documents import PREFIX_CHARACTERS, SUFFIX_CHARACTERS, Cut, own_sources
from benchmarks.lsp_client import LspClient
from benchmarks.tables import BenchOptions, Cell, Ratio, Report, Table, interleave, median, median_ratio, percentile
from engine import BUNDLED_MODEL, Completer, CompletionRequest, CompletionResult

PROCESSES = 7
TYPED = 160
"""Characters that are typed one after the other, unless the options say how many."""
SERVED = 12
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class _Part:
    """The result of one of the three measurements."""

    table: Table
    ratios: tuple[Ratio, ...]
    conditions: Mapping[str, Cell]


def run(options: BenchOptions) -> Report:
    """Cold start, warm completion, memory."""
    completer = Completer.load(options.model, device=options.device)
    text, typed = _document(options.characters or TYPED)
    rounds = options.repetitions or PROCESSES
    steps = iter(range(1, rounds + len(typed) + 2))
    total = rounds + len(typed) + 1

    def tick(*_: int) -> None:
        options.progress(next(steps), total)

    with tempfile.TemporaryDirectory() as place:
        cold, bare_peak = _cold_start(options, completer, text, rounds, tick, Path(place))
        memory = _memory(options, text, typed, bare_peak, Path(place))
    tick()
    typing = _typing(options, completer, text, typed, tick)
    parts = (cold, typing, memory)
    info = completer.info
    conditions: dict[str, Cell] = {
        "model": f"{info.name}, {info.precision}, {info.vocabulary} entries, on {info.provider}",
        "document": f"{len(text)} characters before the cursor, then {len(typed)} typed one at a time",
    }
    for part in parts:
        conditions |= part.conditions
    ratios = tuple(ratio for part in parts for ratio in part.ratios)
    return Report("startup", conditions, tuple(part.table for part in parts), ratios)


def _document(characters: int) -> tuple[str, str]:
    """Code before the cursor, and the code that is typed there, at most ``characters``."""
    source = max(own_sources(), key=len)
    start = source.find("\n    def ", PREFIX_CHARACTERS) + 1
    return source[source.find("\n", start - PREFIX_CHARACTERS) + 1 : start], source[start : start + characters]


def _cold_start(
    options: BenchOptions, completer: Completer, text: str, rounds: int, tick: Callable[..., None], place: Path
) -> tuple[_Part, int]:
    """Wall times of whole processes, ours and bare; also the peak memory of the bare one in bytes."""
    folder = str(options.model or BUNDLED_MODEL)
    prefix = text + "    def "
    result = completer.complete(CompletionRequest(prefix))
    tokens = result.completions[0].tokens if result.completions else 1
    path, env = place / "prefix.py", programs.environment(place)
    path.write_text(prefix, encoding="utf-8", newline="")
    ours = ["-m", "lsp_server", "complete", "--prefix-file", str(path), "--model", folder, "--json"]
    # One more forward pass than tokens, because ours runs one to find that the line has ended.
    peer = [bare.__file__, folder, str(tokens + 1)]
    peaks: list[int] = []

    def run_ours() -> float:
        elapsed, out = programs.timed([*ours, "--device", options.device], env, prefix)
        json.loads(out)
        return elapsed

    def run_peer() -> float:
        elapsed, out = programs.timed(peer, env, prefix)
        peaks.append(int(out))
        return elapsed

    variants = {"midtoken complete": run_ours, "the graph alone, bare": run_peer}
    interleave(variants, 1)  # compiles the modules of both and warms the disk cache
    figures = interleave(variants, rounds, tick)
    table = Table(
        "cold start: a process from nothing to its first completion",
        ("program", "p50 ms", "p95 ms"),
        tuple((name, median(values), percentile(values, 95)) for name, values in figures.items()),
    )
    ratio = Ratio("cold start: midtoken complete / bare", median_ratio(*figures.values()))
    part = _Part(table, (ratio,), {"cold start": f"{rounds} processes of each in turn, {tokens} tokens written"})
    return part, max(peaks)


def _typing(options: BenchOptions, completer: Completer, text: str, typed: str, tick: Callable[..., None]) -> _Part:
    """A completion after every typed character, with one completer that keeps its cache and one that cannot use it."""
    other = Completer.load(options.model, device=options.device)
    after = "\n" + text[:SUFFIX_CHARACTERS]
    warm: list[CompletionResult] = []
    cold: list[CompletionResult] = []
    completer.complete(CompletionRequest(text, after))
    for count in range(1, len(typed) + 1):
        cut = Cut(text + typed[:count], after, "")
        requests = [(completer, cut, warm), (other, cut.fresh(count), cold)]
        for target, document, results in requests if count % 2 else reversed(requests):
            results.append(target.complete(CompletionRequest(document.prefix, document.suffix)))
        tick()
    table = Table(
        "one typed character later",
        ("key/value cache", "p50 ms", "p95 ms", "prefill p50 ms", "decode p50 ms", "tokens reused %"),
        (_typing_row("kept", warm), _typing_row("of no use", cold)),
    )
    ratio = Ratio("after a typed character: cache kept / of no use", median_ratio(_totals(warm), _totals(cold)))
    shown = sum(len(result.completions) > 0 for result in warm)
    return _Part(table, (ratio,), {"keystrokes with a completion": f"{shown} of {len(warm)}"})


def _typing_row(name: str, results: list[CompletionResult]) -> tuple[Cell, ...]:
    totals = _totals(results)
    prefill, decode = ([getattr(r.timing, f"{stage}_ms") for r in results] for stage in ("prefill", "decode"))
    reused = 100 * sum(r.reused_tokens for r in results) / sum(r.prompt_tokens for r in results)
    return name, median(totals), percentile(totals, 95), median(prefill), median(decode), reused


def _totals(results: list[CompletionResult]) -> list[float]:
    return [result.timing.total_ms for result in results]


def _memory(options: BenchOptions, text: str, typed: str, bare_peak: int, place: Path) -> _Part:
    """Peak resident memory of a server after some completions, one after each of the first characters typed."""
    folder = options.model or BUNDLED_MODEL
    arguments = ["-m", "lsp_server", "serve", "--model", str(folder), "--device", options.device]
    with programs.start(arguments, programs.environment(place), stderr=subprocess.DEVNULL) as process:
        try:
            client = LspClient(process, {"budgetMs": 60_000})
            client.open(text)
            line, answers, peak = text.count("\n"), 0, 0
            for character, letter in enumerate(typed.partition("\n")[0][:SERVED]):
                client.type(line, character, letter)
                answers += bool(client.inline_completion(line, character + 1))
                peak = max(peak, programs.peak_memory_bytes(process.pid))
            client.close()
        finally:
            process.kill()
    rows: list[tuple[Cell, ...]] = [
        (name, bytes_ / _MIB if bytes_ else "not known: install psutil")
        for name, bytes_ in (("midtoken serve", peak), ("the graph alone, bare", bare_peak))
    ]
    ratios = (Ratio("peak memory: midtoken serve / bare", peak / bare_peak),) if peak and bare_peak else ()
    table = Table("peak memory of a process", ("program", "MiB"), tuple(rows))
    return _Part(table, ratios, {"completions served": f"{answers} of {SERVED} that were asked for"})
