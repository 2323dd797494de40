"""Peers on the same weights: what each completes at the same places, how fast, and how much of the machine it uses.

    midtoken bench peers --gguf FILE.gguf --cases CASES.jsonl --places 200

Our model is the folder that FILE.gguf was converted to (`midtoken models add`), or ``--model``. llama.cpp runs through
``xllamacpp``, asked as its editor plugin asks, but greedily; transformers runs in float32, with and without its token
healing; llguidance with its own healing over transformers; onnxruntime-genai at int4. Each runs in a process of its own
and is asked in turn (A B, B A). Each place is asked for twice: *cold*, and *warm*, one typed character later. Ratios
are medians of ours over the peer's at the same place. With ``--timed N`` only the first N places count for times; the
others are asked once, for what is completed there, which other work on the machine does not change.

With ``--results FILE`` each answer is written to that file at once, and a run goes on from what is there: the first ten
places today, all 200 tomorrow, or one peer after the other.
"""

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import engine
from benchmarks.baselines import Estimate, estimate, line_is_exact, paired_difference
from benchmarks.cases import CUTS, case_at, places
from benchmarks.peer_process import Reply
from benchmarks.tables import BenchOptions, Cell, Progress, Ratio, Report, Table, median_ratio, no_progress, percentile
from engine import DocumentError, RequestError
from lsp_server.commands.evaluation import Case, Outcome, identifier_matches, read_cases

OURS = "midtoken"
NEEDED: Mapping[str, tuple[str, ...]] = {
    "llama.cpp": ("xllamacpp",),
    "llguidance": ("llguidance", "torch", "transformers", "gguf", "accelerate"),
    "transformers": ("torch", "transformers", "gguf", "accelerate"),
    "transformers-healing": ("torch", "transformers", "gguf", "accelerate", "pygtrie"),
    "onnxruntime-genai": ("onnxruntime_genai", "torch", "transformers", "gguf", "accelerate"),
}
"""The peers, and the packages that each needs."""
BEFORE, AFTER = 900, 200
"""Characters around the cursor at places of our own sources."""
QUALITY_COLUMNS = ("", "first line", "identifier", "ours more, first line")


class PeerProcess:
    """A completer in a process of its own. Raises `DocumentError` with its last line of output if it ends."""

    def __init__(self, kind: str, path: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.peer_process", kind, str(path)]
        self._kind = kind
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
        self._answer()

    def complete(self, prefix: str, suffix: str, path: str = "") -> Reply:
        """Ask for one line."""
        self._ask(json.dumps({"prefix": prefix, "suffix": suffix, "path": path}))
        return Reply(**self._answer())

    def stop(self) -> dict[str, float]:
        """End it; returns its ``peak_mb`` and ``processor_s``."""
        self._ask("stop")
        used: dict[str, float] = self._answer()
        self._process.wait()
        return used

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._failure() from error

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):  # libraries print lines of their own
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise self._failure()

    def _failure(self) -> DocumentError:
        _, said = self._process.communicate()
        reason = (said.strip().splitlines() or ["no message"])[-1]
        return DocumentError(f"{self._kind} ended ({reason[:200]})")


@dataclass(slots=True)
class Record:
    """The results of one peer: ``cold`` at all places, ``warm`` at the first ones, which are the timed places. ``used``
    holds ``peak_mb`` and ``processor_s`` of its processes that have ended. It is empty if all were stopped before.
    """

    cold: list[Reply] = field(default_factory=list)
    warm: list[Reply] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    used: dict[str, float] = field(default_factory=dict)

    @property
    def timed(self) -> list[Reply]:
        """``cold`` at the timed places."""
        return self.cold[: len(self.warm)]


class Answers:
    """What was answered, by peer and case: in memory, and in a file if there is one. Each line of the file is one case
    of one peer, or what the process of a peer used (a peer that was stopped and begun again has several).

    Raises `DocumentError` if the file holds other things, `RequestError` if it cannot be read or written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._replies: dict[tuple[str, str], tuple[Reply, Reply | None]] = {}
        self._used: dict[str, list[dict[str, float]]] = {}
        if path is None or not path.exists():
            return
        for number, line in enumerate(_lines_of(path), 1):
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError) as error:
                raise DocumentError(f"line {number} of {path} is no answer; delete the file to begin anew") from error

    def missing(self, peer: str, cases: Sequence[Case], timed: int) -> set[str]:
        """The keys of the cases that a peer has not answered, at the first ``timed`` ones both times."""
        return {
            key
            for number, key in enumerate(map(key_of, cases))
            if (found := self._replies.get((peer, key))) is None or (number < timed and found[1] is None)
        }

    def add(self, line: dict[str, Any]) -> None:
        """Keep one line: ``peer`` with ``case``, ``cold`` and ``warm`` (None if asked once), or with ``used``."""
        self._take(line)
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
        except OSError as error:
            raise RequestError(f"answers cannot be written to {self._path} ({error}); give --results a file") from error

    def record(self, peer: str, cases: Sequence[Case], timed: int) -> Record:
        """The results of one peer at all cases, every one of which it has answered, the first ``timed`` ones twice."""
        made = Record()
        for number, case in enumerate(cases):
            cold, warm = self._replies[peer, key_of(case)]
            made.cold.append(cold)
            if number < timed:
                assert warm is not None
                made.warm.append(warm)
            made.outcomes.append(Outcome(case, cold.text, cold.total_ms))
        if used := self._used.get(peer):
            made.used = {
                "peak_mb": max(each["peak_mb"] for each in used),
                "processor_s": sum(each["processor_s"] for each in used),
            }
        return made

    def _take(self, line: dict[str, Any]) -> None:
        if "used" in line:
            self._used.setdefault(line["peer"], []).append(line["used"])
        else:
            warm = None if line["warm"] is None else Reply(**line["warm"])
            self._replies[line["peer"], line["case"]] = (Reply(**line["cold"]), warm)


def run(options: BenchOptions) -> Report:
    """Ask all peers at every place. Raises `RequestError` for peers that are unknown or not installed, and
    `DocumentError`.
    """
    assert options.gguf is not None
    unknown = [name for name in options.peers if name not in NEEDED]
    if unknown:
        raise RequestError(f"no peer is called {unknown[0]!r}; there are {', '.join(NEEDED)}")
    names = options.peers or tuple(name for name in NEEDED if is_installed(name))
    if not names:
        raise RequestError("no peer is installed; 'pip install xllamacpp' brings llama.cpp")
    cases = cases_of(options)
    models = {OURS: options.model or options.gguf} | dict.fromkeys(names, options.gguf)
    timed = len(cases) if options.timed is None else min(options.timed, len(cases))
    made = report(run_all(cases, models, timed, options.progress, options.results))
    conditions: dict[str, Cell] = {
        "weights": options.gguf.name,
        "model folder": str(models[OURS].name),
        "places": len(cases),
        "timed": timed,
    }
    return replace(made, conditions=conditions)


def is_installed(peer: str) -> bool:
    """Whether the packages of a peer are there."""
    return all(find_spec(package) is not None for package in NEEDED[peer])


def cases_of(options: BenchOptions) -> list[Case]:
    """The cases of a file, or cuts inside identifiers of our own sources. Raises `DocumentError` or `RequestError`."""
    if options.cases is not None:
        return read_cases(_lines_of(options.cases), str(options.cases))[: options.places]
    folder = Path(engine.__file__).parent
    found = list(places(folder, CUTS["identifier"]))
    drawn = random.Random(options.seed).sample(found, min(options.places, len(found)))
    made = ((path, case_at(path, offset, BEFORE, AFTER)) for path, offset in drawn)
    return [Case(**case, language="python", path=path.relative_to(folder).as_posix()) for path, case in made]


def _lines_of(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} cannot be read ({error}); give a file of JSON lines") from None


def run_all(
    cases: Sequence[Case],
    peers: Mapping[str, Path],
    timed: int,
    progress: Progress = no_progress,
    results: Path | None = None,
) -> dict[str, Record]:
    """Ask every peer at every place that it has not answered, in turn, and at the first ``timed`` ones a second time.
    Raises `DocumentError` and `RequestError`.
    """
    answers = Answers(results)
    missing = {name: answers.missing(name, cases, timed) for name in peers}
    with ExitStack() as stack:
        processes = {}
        for name in (name for name in peers if missing[name]):
            processes[name] = PeerProcess(name, peers[name])
            stack.callback(processes[name].kill)
        names = list(processes)
        for number, case in enumerate(cases):
            for name in names if number % 2 == 0 else reversed(names):
                if key_of(case) in missing[name]:
                    replies = ask(processes[name], case, timed=number < timed)
                    answers.add({"peer": name, "case": key_of(case)} | replies)
            progress(number + 1, len(cases))
        for name, process in processes.items():
            answers.add({"peer": name, "used": process.stop()})
    return {name: answers.record(name, cases, timed) for name in peers}


def key_of(case: Case) -> str:
    """A case's name in a file of results: the sum of its text, because ids may repeat and files change."""
    return hashlib.sha256("\0".join((case.path, case.prefix, case.suffix, case.reference)).encode()).hexdigest()[:16]


def ask(process: PeerProcess, case: Case, *, timed: bool) -> dict[str, dict[str, Any] | None]:
    """The replies at one place, ``cold`` and one character later (``warm``); None for the latter if not ``timed``."""
    cold = process.complete(case.prefix, case.suffix, case.path)
    if not timed:
        return {"cold": asdict(cold), "warm": None}
    warm = process.complete(case.prefix + case.reference[:1], case.suffix, case.path)
    return {"cold": asdict(cold), "warm": asdict(warm)}


def report(records: Mapping[str, Record]) -> Report:
    """Quality, times and resources, one row for each peer."""
    columns = ("", "cold p50 ms", "warm p50 ms", "warm p95 ms", "read /s", "written /s", "peak MB", "processor s")
    quality, rows, ratios = [], [], []
    ours = records[OURS]
    for name, record in records.items():
        failed = [reply.failed for reply in record.cold if reply.failed]
        shown = f"{name} ({failed[0]} at {len(failed)})" if failed else name
        quality.append((shown, *_quality(record.outcomes, ours.outcomes)))
        cold = record.timed
        warm = [reply.total_ms for reply in record.warm]
        rows.append(
            (
                name,
                median([reply.total_ms for reply in cold]),
                median(warm),
                percentile(warm, 95),
                _rate([(reply.read, reply.read_ms) for reply in cold]),
                _rate([(reply.written, reply.written_ms) for reply in cold]),
                record.used.get("peak_mb", "-"),
                record.used.get("processor_s", "-"),
            )
        )
        if name != OURS:
            for what, own, other in (("cold", ours.timed, cold), ("warm", ours.warm, record.warm)):
                ratio = median_ratio([r.total_ms for r in own], [r.total_ms for r in other])
                ratios.append(Ratio(f"{what}, over {name}", ratio, 0.67 if what == "cold" else None))
    return Report(
        "peers on the same weights",
        {"places": len(ours.cold)},
        (
            Table("one line, greedy: % of the places, with 95 % intervals", QUALITY_COLUMNS, tuple(quality)),
            Table("times from request to answer, and what all of it took of the machine", columns, tuple(rows)),
        ),
        tuple(ratios),
    )


def _quality(outcomes: Sequence[Outcome], ours: Sequence[Outcome]) -> tuple[str, str, str]:
    inside = [number for number, outcome in enumerate(outcomes) if outcome.case.inside_identifier]
    identifiers = [outcomes[number] for number in inside]
    return (
        _percent(estimate(outcomes, line_is_exact)),
        _percent(estimate(identifiers, identifier_matches)) if inside else "-",
        _percent(paired_difference(ours, outcomes, line_is_exact)) if outcomes is not ours else "",
    )


def _percent(found: Estimate) -> str:
    return f"{100 * found.mean:.1f} [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def _rate(passes: Sequence[tuple[int, float]]) -> Cell:
    """Tokens a second; a dash if a peer does not report them."""
    took = sum(milliseconds for _, milliseconds in passes)
    return 1000 * sum(tokens for tokens, _ in passes) / took if took else "-"
