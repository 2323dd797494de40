"""Thousands of hostile model files, with a memory limit: is each read, or refused in one line?

``python -m tests.fuzz.models [--count 10000] [--seed 0] [--kind NAME ...]``

Each kind of file runs in a process of its own, which is started again after a case that ended it or hung. Every case
has a number and can be made again from it and the seed. Files that pass our checks are used as the program would use
them, so onnxruntime, too, reads what it would read in a trial (`engine.probe`). A graph that ends the process there is
counted separately, because trials exist for that. The exit status is 1 if anything else goes wrong: an exception that
is not one of ours, a message of several lines, a process that ended, a case of more than half a minute; for GGUF files
also memory that grew by more than 200 MiB.
"""

import argparse
import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import LONGEST_MESSAGE, MidtokenError
from tests.fuzz.cases import KINDS

COUNT = 10_000
MOST_SECONDS = 30.0
MOST_BYTES = 3 << 30
"""Limit of the address space, as in a trial of a small folder."""
MOST_GROWTH_MIB = 200.0
"""How much more memory a process may have after its cases than before them, for the kinds in `FRUGAL`. The files are
small.
"""
FRUGAL = ("GGUF",)
"""Kinds whose files state sizes that anybody can choose, and which are read piece by piece."""
CONTAINED = ("ONNX graph",)
"""Kinds for which a process that ends does no harm: the library that ends it runs in a trial first."""


@dataclass(slots=True)
class Outcome:
    """The results of the cases of a kind. ``failures`` say which cases failed and why."""

    kind: str
    cases: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    slowest_ms: float = 0.0
    peak_mib: float = 0.0
    growth_mib: float = 0.0

    @property
    def is_good(self) -> bool:
        is_frugal = self.growth_mib <= MOST_GROWTH_MIB or self.kind not in FRUGAL
        return is_frugal and not self.failures and (not self.ended or self.kind in CONTAINED)


def run_case(kind: str, number: int, seed: int, folder: Path) -> str:
    """Make a case and read it. Returns the name of the error that refused it, empty if it passed.

    Raises any other exception, and `AssertionError` for a message that is not a single line.
    """
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    KINDS[kind].make(random.Random(f"{kind} {seed} {number}"), folder)
    try:
        KINDS[kind].read(folder)
    except MidtokenError as error:
        message = str(error)
        assert message, "an error without a message"
        assert "\n" not in message, f"a message of several lines: {message[:200]!r}"
        assert len(message) <= LONGEST_MESSAGE, f"a message of {len(message)} characters"
        return type(error).__name__
    return ""


def work(kind: str, first: int, count: int, seed: int) -> None:
    """The child process: it writes a line of JSON for every case."""
    limit_memory()
    # The parent must not read what libraries print.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with tempfile.TemporaryDirectory() as place:
        before = peak_mib()
        for number in range(first, count):
            print(json.dumps({"begun": number}), file=out, flush=True)
            began = time.perf_counter()
            result: dict[str, Any] = {"number": number}
            try:
                result["error"] = run_case(kind, number, seed, Path(place))
            except BaseException as failure:
                result["failure"] = f"{type(failure).__name__}: {str(failure)[:300]}"
            result["ms"] = (time.perf_counter() - began) * 1000
            result |= {"mib": peak_mib(), "growth": peak_mib() - before}
            print(json.dumps(result), file=out, flush=True)


def limit_memory() -> None:
    """On Unix: limit the memory of this process to `MOST_BYTES`."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def peak_mib() -> float:
    """The peak of the resident memory so far, in MiB; 0 if the system does not report it."""
    if sys.platform == "win32":
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def run_kind(kind: str, count: int, seed: int) -> Outcome:
    """The parent: run all cases of a kind, in as many processes as it takes."""
    outcome = Outcome(kind)
    first = 0
    while first < count:
        command = [sys.executable, "-m", "tests.fuzz.models", "--child", kind, str(first), str(count), str(seed)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            first = _follow(child, outcome, first)
        finally:
            child.kill()
            child.communicate()
    return outcome


def _follow(child: "subprocess.Popen[str]", outcome: Outcome, first: int) -> int:
    """Read the child's output until it ends. Returns the number of the case to continue with."""
    assert child.stdout is not None
    at = first
    while True:
        if not select.select([child.stdout], [], [], MOST_SECONDS + 30 * (at == first))[0]:
            outcome.failures.append(f"case {at} took longer than {MOST_SECONDS:.0f} s")
            return at + 1
        line = child.stdout.readline()
        if not line:
            if child.wait() != 0:
                outcome.ended.append(at)
                outcome.cases += 1
            return at + 1
        said = json.loads(line)
        if "begun" in said:
            at = said["begun"]
        else:
            _note(outcome, said)


def _note(outcome: Outcome, said: dict[str, Any]) -> None:
    outcome.cases += 1
    outcome.slowest_ms = max(outcome.slowest_ms, said["ms"])
    outcome.peak_mib = max(outcome.peak_mib, said["mib"])
    outcome.growth_mib = max(outcome.growth_mib, said["growth"])
    if "failure" in said:
        outcome.failures.append(f"case {said['number']}: {said['failure']}")
    elif said["error"]:
        outcome.refused[said["error"]] += 1
    else:
        outcome.accepted += 1


def main() -> int:
    """Run the kinds and print a table. The exit status is 1 if something went wrong."""
    if sys.argv[1:2] == ["--child"]:
        kind, first, count, seed = sys.argv[2:]
        work(kind, int(first), int(count), int(seed))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=COUNT, help=f"cases of each kind (default: {COUNT})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, nargs="+", default=list(KINDS))
    args = parser.parse_args()
    good = True
    print(
        "| kind | cases | let through | refused | ended the process | failed | slowest, ms | peak, MiB | grown, MiB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for kind in args.kind:
        found = run_kind(kind, args.count, args.seed)
        row = [kind, found.cases, found.accepted, found.refused.total(), len(found.ended), len(found.failures)]
        row += [round(found.slowest_ms), round(found.peak_mib), round(found.growth_mib)]
        print("|", " | ".join(map(str, row)), "|", flush=True)
        for failure in found.failures[:20]:
            print(f"  {kind}, {failure}", file=sys.stderr)
        if found.ended:
            print(f"  {kind}, ended the process: cases {found.ended[:20]}", file=sys.stderr)
        good = good and found.is_good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
