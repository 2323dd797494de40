"""Cases of HumanEval infilling for ``midtoken evaluate``, from the benchmark's own file.

    python -m benchmarks.humaneval HumanEval-SingleLineInfilling.jsonl.gz OUT.jsonl --cut identifier --count 120

The file is that of the benchmark's repository (Bavarian et al. 2022, arXiv 2207.14255); nothing is fetched. ``line``
cuts at the start of the missing line, as the benchmark does; ``identifier`` inside a random identifier of it;
``space`` after a random space between two of its words. The same seed gives the same cases. Never train or tune on it.
"""

import gzip
import json
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.arguments import parser_for

FILE = "solution.py"
"""The name of each task's file, for models that read it. An editor knows the name, so every mode gets it."""
CUTS = {
    "line": re.compile(r"\A"),
    "identifier": re.compile(r"(?<=\w)(?=\w)"),
    "space": re.compile(r"(?<=\S )(?=\S)"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the cases; exit status 1 with one line if that cannot be done."""
    parser = parser_for(__doc__, seed=True)
    parser.add_argument("tasks", type=Path, metavar="TASKS.jsonl.gz")
    parser.add_argument("out", type=Path, metavar="OUT.jsonl")
    parser.add_argument("--cut", choices=sorted(CUTS), default="identifier")
    parser.add_argument("--count", type=int, default=120)
    args = parser.parse_args(arguments)
    try:
        tasks = list(read_tasks(args.tasks))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        print(f"error: {args.tasks} is not a file of HumanEval infilling ({error})", file=sys.stderr)
        return 1
    cases = list(cut_tasks(tasks, args.cut, random.Random(args.seed), args.count))
    if len(cases) < args.count:
        print(f"error: {args.tasks} has {len(cases)} places of this kind; ask for fewer", file=sys.stderr)
        return 1
    args.out.write_text("".join(json.dumps(case) + "\n" for case in cases), encoding="utf-8")
    return 0


def read_tasks(path: Path) -> Iterator[Mapping[str, Any]]:
    """The tasks of a file, gzipped or not. Raises OSError, EOFError, ValueError, KeyError or TypeError for others."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    for line in text.splitlines():
        task = json.loads(line)
        yield {name: str(task[name]) for name in ("task_id", "prompt", "canonical_solution", "suffix")}


def cut_tasks(
    tasks: Sequence[Mapping[str, Any]], cut: str, generator: random.Random, count: int
) -> Iterator[dict[str, str]]:
    """Up to ``count`` cases, each of another task, cut at a random place of the kind."""
    for task in generator.sample(tasks, len(tasks)):
        if count == 0:
            return
        line = task["canonical_solution"].rstrip("\n")
        places = [match.start() for match in CUTS[cut].finditer(line)]
        if cut != "line":
            indentation = len(line) - len(line.lstrip())
            places = [place for place in places if place > indentation]
        if not line.strip() or not places:
            continue
        at = generator.choice(places)
        count -= 1
        yield {
            "id": f"{task['task_id']}:{at}",
            "prefix": task["prompt"] + line[:at],
            "suffix": "\n" + task["suffix"],
            "reference": line[at:],
            "language": "python",
            "path": FILE,
        }


if __name__ == "__main__":
    sys.exit(main())
