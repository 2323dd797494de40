"""Peers on the same weights: what each completes at the same places, how soon, and what it takes of the machine.

    python -m benchmarks.peers CASES.jsonl --gguf FILE.gguf --model FOLDER --places 200

FOLDER is FILE.gguf as ``midtoken export`` made it. llama.cpp runs by way of ``xllamacpp``, as its editor plugin asks;
``--peers`` adds transformers (float32, with and without its token healing; it needs the extra `export`). Each runs in a
process of its own and is asked in turn (A B, B A). A place is asked for twice: *cold*, and *warm*, one typed character
later. Ratios are medians of ours over the peer's at the same place.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.arguments import parser_for
from benchmarks.baselines import estimate, line_is_exact
from benchmarks.peer_process import PEERS, Reply
from benchmarks.tables import Ratio, Report, Table, as_json, as_text, machine, median_ratio, percentile
from engine import DocumentError, MidtokenError
from lsp_server.commands.evaluation import Case, Outcome, identifier_matches, read_cases
from lsp_server.commands.progress import progress_bar

OURS = "midtoken"


class PeerProcess:
    """A completer in a process of its own. Raises `DocumentError` with its last words where it ends."""

    def __init__(self, kind: str, path: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.peer_process", kind, str(path)]
        self._kind = kind
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
        self._answer()

    def complete(self, prefix: str, suffix: str) -> Reply:
        """Ask for one line."""
        self._ask(json.dumps({"prefix": prefix, "suffix": suffix}))
        return Reply(**self._answer())

    def stop(self) -> dict[str, float]:
        """End it; its ``peak_mb`` and ``processor_s``."""
        self._ask("stop")
        used: dict[str, float] = self._answer()
        self._process.wait()
        return used

    def kill(self) -> None:
        """End it, whatever it does."""
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
    """What one peer did."""

    cold: list[Reply] = field(default_factory=list)
    warm: list[Reply] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    used: Mapping[str, float] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and the ratios; exit status 1 with one line where that cannot be done."""
    parser = parser_for(__doc__)
    parser.add_argument("cases", type=Path, metavar="CASES.jsonl")
    parser.add_argument("--gguf", type=Path, required=True, metavar="FILE.gguf")
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--places", type=int, default=200)
    parser.add_argument("--peers", nargs="*", default=["llama.cpp"], choices=[name for name in PEERS if name != OURS])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    try:
        cases = read_cases(args.cases.read_text(encoding="utf-8").split("\n"), str(args.cases))[: args.places]
        records = run_all(cases, {OURS: args.model} | dict.fromkeys(args.peers, args.gguf))
    except (MidtokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    made = report(records)
    print(json.dumps({"machine": machine(), **as_json(made)}) if args.json else as_text(made))
    return 0


def run_all(cases: Sequence[Case], peers: Mapping[str, Path]) -> dict[str, Record]:
    """Ask every peer at every place, in turn."""
    with ExitStack() as stack:
        processes = {}
        for name, path in peers.items():
            processes[name] = PeerProcess(name, path)
            stack.callback(processes[name].kill)
        records = {name: Record() for name in peers}
        progress = progress_bar("peers")
        names = list(peers)
        for number, case in enumerate(cases):
            for name in names if number % 2 == 0 else reversed(names):
                ask(processes[name], case, records[name])
            progress(number + 1, len(cases))
        for name, process in processes.items():
            records[name].used = process.stop()
    return records


def ask(process: PeerProcess, case: Case, record: Record) -> None:
    """One place, cold and one character later."""
    cold = process.complete(case.prefix, case.suffix)
    record.cold.append(cold)
    record.outcomes.append(Outcome(case, cold.text, cold.total_ms))
    record.warm.append(process.complete(case.prefix + case.reference[:1], case.suffix))


def report(records: Mapping[str, Record]) -> Report:
    """Quality, times and what was used, one row a peer."""
    columns = ("", "first line %", "identifier %", "cold p50 ms", "warm p50 ms", "warm p95 ms", "read /s", "written /s")
    rows, ratios = [], []
    for name, record in records.items():
        inside = [outcome for outcome in record.outcomes if outcome.case.inside_identifier]
        warm = [reply.total_ms for reply in record.warm]
        rows.append(
            (
                name,
                100 * estimate(record.outcomes, line_is_exact).mean,
                100 * estimate(inside, identifier_matches).mean if inside else 0.0,
                median([reply.total_ms for reply in record.cold]),
                median(warm),
                percentile(warm, 95),
                _rate([(reply.read, reply.read_ms) for reply in record.cold]),
                _rate([(reply.written, reply.written_ms) for reply in record.cold]),
            )
        )
    ours = records[OURS]
    for name, record in records.items():
        if name != OURS:
            for what, own, other in (("cold", ours.cold, record.cold), ("warm", ours.warm, record.warm)):
                ratio = median_ratio([r.total_ms for r in own], [r.total_ms for r in other])
                ratios.append(Ratio(f"{what}, over {name}", ratio, 0.67 if what == "cold" else None))
    used = tuple((name, record.used["peak_mb"], record.used["processor_s"]) for name, record in records.items())
    return Report(
        "peers on the same weights",
        {"places": len(ours.cold)},
        (
            Table("one line, greedy", columns, tuple(rows)),
            Table("of the machine", ("", "peak MB", "processor s"), used),
        ),
        tuple(ratios),
    )


def _rate(passes: Sequence[tuple[int, float]]) -> float:
    """Tokens a second; 0 where a peer does not tell."""
    took = sum(milliseconds for _, milliseconds in passes)
    return 1000 * sum(tokens for tokens, _ in passes) / took if took else 0.0


if __name__ == "__main__":
    sys.exit(main())
