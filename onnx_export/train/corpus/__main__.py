"""`python -m onnx_export.train.corpus OUT`: collect training text from packages that pip, npm and Debian serve.

Writes OUT/corpus.jsonl.gz (each file with its package, version, licence, SHA-256, weight and text), OUT/left_out.tsv
(each file that was left out, and why) and OUT/summary.json; downloads are kept in OUT/downloads.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from engine.errors import MidtokenError, TrainingError
from onnx_export.train.checkpoint import write_atomically
from onnx_export.train.corpus.build import (
    LANGUAGE_WEIGHTS,
    MAX_WEIGHT,
    Built,
    LeftOut,
    build,
    standard_library,
)
from onnx_export.train.corpus.documents import CORPUS_NAME, Document, write_documents
from onnx_export.train.corpus.fetching import fetch, package_files
from onnx_export.train.corpus.languages import LANGUAGES, PYTHON, language_of
from onnx_export.train.corpus.packages import PACKAGES, Package, choose


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 failed with one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m onnx_export.train.corpus",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="folder for the corpus")
    parser.add_argument(
        "--downloads", type=Path, help="folder of packages, where missing ones are fetched to (OUT/downloads)"
    )
    parser.add_argument(
        "--packages", nargs="*", default=list(PACKAGES), help="some of the packages (default: all; none: only Python's)"
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        default=[],
        metavar="LANGUAGE=FACTOR",
        help="how often an epoch sees a language, 0 for never; of " + ", ".join(LANGUAGES),
    )
    options = parser.parse_args(arguments)
    try:
        weights = _weights(options.weights)
        _run(options.out, options.downloads or options.out / "downloads", choose(options.packages), weights)
    except MidtokenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was fetched is kept", file=sys.stderr)
        return 1
    return 0


def _weights(settings: Sequence[str]) -> Mapping[str, float]:
    """The weights of the languages, with those of the command. Errors: TrainingError for a setting that is none."""
    chosen = {}
    for setting in settings:
        language, _, factor = setting.partition("=")
        try:
            chosen[language] = float(factor)
        except ValueError:
            chosen[language] = -1.0
        if language not in LANGUAGES or not 0.0 <= chosen[language] <= MAX_WEIGHT:
            raise TrainingError(
                f"{setting} is no weight: give LANGUAGE=FACTOR, one of {', '.join(LANGUAGES)} "
                f"and a number from 0 to {MAX_WEIGHT:g}"
            )
    return {**LANGUAGE_WEIGHTS, **chosen}


def _run(out: Path, downloads: Path, packages: Sequence[Package], weights: Mapping[str, float]) -> None:
    fetched, missing = _fetched(packages, downloads)
    built = build(chain(standard_library(), *(package_files(*item) for item in fetched)), language_weights=weights)
    write_documents(built.documents, out / CORPUS_NAME)
    left_out = [*missing, *built.left_out]
    _write(out / "left_out.tsv", "".join(f"{item.package}\t{item.path}\t{item.reason}\n" for item in left_out))
    summary = {
        "packages": summarise(built, lambda item: item.package),
        "languages": summarise(built, lambda item: language_of(item.path) or PYTHON),
    }
    _write(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    for rows in summary.values():
        for row in rows:
            print(
                f"{row['name']:<30}{row['files']:>6} files {row['bytes'] / 1e6:>6.1f} MB, {row['held_out']:>3} held out"
                f", {row['epoch_bytes'] / 1e6:>4.1f} MB an epoch; {row['left_out']} left out; "
                f"{', '.join(row['licences'])}"
            )
        print()


def _fetched(packages: Sequence[Package], downloads: Path) -> tuple[list[tuple[Package, Path]], list[LeftOut]]:
    """The packages with what was downloaded, and those that cannot be had now: a registry may lack a file for a while.

    Errors: TrainingError if none can be had.
    """
    fetched, missing = [], []
    for package in packages:
        print(f"{package.name} {package.version}".strip(), flush=True)
        try:
            fetched.append((package, fetch(package, downloads)))
        except TrainingError as error:
            if not fetched and package is packages[-1]:
                raise
            print(f"left out: {error}", flush=True)
            missing.append(LeftOut(package.name, "", f"not fetched: {error}"))
    return fetched, missing


def summarise(built: Built, key: Callable[[Document | LeftOut], str]) -> list[dict[str, Any]]:
    """For each package, or whatever `key` names, what became of its files; in the order in which they came."""
    kept: defaultdict[str, list[Document]] = defaultdict(list)
    left_out: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for document in built.documents:
        kept[key(document)].append(document)
    for item in built.left_out:
        left_out[key(item)][item.reason.split(" of ")[0] if "duplicate" in item.reason else item.reason] += 1
    return [
        {
            "name": name,
            "files": len(own),
            "bytes": sum(len(document.text.encode()) for document in own),
            "held_out": sum(document.held_out for document in own),
            "epoch_bytes": round(
                sum(len(document.text.encode()) * document.weight for document in own if not document.held_out)
            ),
            "licences": dict(Counter(document.licence for document in own).most_common()),
            "left_out": sum(left_out[name].values()),
            "reasons": dict(left_out[name].most_common()),
        }
        for name, own in ((name, kept[name]) for name in dict.fromkeys((*kept, *left_out)))
    ]


def _write(path: Path, text: str) -> None:
    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)


if __name__ == "__main__":
    sys.exit(main())
