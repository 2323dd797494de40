"""Documents of the training text, and the file that keeps them: one JSON object a line, compressed."""

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.errors import TrainingError
from onnx_export.train.checkpoint import write_atomically
from onnx_export.train.corpus.languages import PYTHON, language_of

STANDARD_LIBRARY = "python"
CORPUS_NAME = "corpus.jsonl.gz"
HELD_OUT_ONE_IN = 50  # 2 % of the files
HELD_OUT_PACKAGE_ONE_IN = 12
HELD_OUT_PACKAGE_SALT = "package 2238 "  # with it every language has a package of its own that is held out
TEST_FOLDERS = frozenset(
    {"test", "tests", "testing", "_testing", "idle_test", "__tests__", "spec", "testsuite", "unittests", "test-d"}
)
TEST_FILES = re.compile(r"^test_|^conftest\.py$|_test\.(go|cc|cpp)$|[.-](test|spec|stories)\.[cm]?[jt]sx?$|\.bats$")
# Test suites are half of all bytes and repeat themselves.
TEST_WEIGHT = 0.15


@dataclass(frozen=True)
class Document:
    """One source file.

    `path` is POSIX, from the folder that one would put on sys.path; `text` has `\\n` line ends; `licence` is an SPDX
    expression and `licence_from` where it was read: "file", "folder", "package" or "debian/copyright"; `weight` in
    (0, 2] is the share of its pieces that an epoch of training sees.
    """

    path: str
    text: str
    package: str = ""
    version: str = ""
    licence: str = ""
    licence_from: str = ""
    weight: float = 1.0

    @property
    def language(self) -> str:
        """One of `languages.LANGUAGES`."""
        return language_of(self.path) or PYTHON

    @property
    def held_out(self) -> bool:
        """Whether it is never trained on: by itself, or with its whole package."""
        return is_held_out(self.path) or is_held_out_package(self.package)

    @property
    def sha256(self) -> str:
        """SHA-256 of the training text in UTF-8."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Corpus:
    """Documents to train on and documents never trained on, both in the order of their sources and paths."""

    train: tuple[Document, ...]
    held_out: tuple[Document, ...]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what a run trains on: every path, text and weight, in order."""
        parts = (f"{document.path} {document.sha256} {document.weight}" for document in self.train)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def is_held_out(path: str) -> bool:
    """Whether the file of this relative path is held out; the path alone decides, so it is the same everywhere."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "big") % HELD_OUT_ONE_IN == 0


def is_held_out_package(name: str) -> bool:
    """Whether no file of this package is trained on; its name alone decides. Python's library and your own code are."""
    if name in ("", STANDARD_LIBRARY):
        return False
    digest = hashlib.sha256((HELD_OUT_PACKAGE_SALT + name).encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_PACKAGE_ONE_IN == 0


def is_test(path: str) -> bool:
    """Whether the file belongs to a test suite."""
    *folders, name = path.split("/")
    return bool(TEST_FOLDERS.intersection(folders)) or TEST_FILES.search(name) is not None


def split(documents: Iterable[Document], source: object) -> Corpus:
    """Separate the held-out files. Errors: TrainingError if nothing is left to train on; `source` is named in it."""
    every = tuple(documents)
    if not every:
        raise TrainingError(f"no Python text to train on in {source}: name a folder of sources with --corpus")
    train = tuple(document for document in every if not document.held_out)
    if not train:
        raise TrainingError(f"every file of {source} falls into the held-out set: name a larger folder with --corpus")
    return Corpus(train, tuple(document for document in every if document.held_out))


def write_documents(documents: Iterable[Document], path: Path) -> None:
    """Write all documents to `path`. Errors: TrainingError if that fails; an older file then stays."""

    def write(temporary: Path) -> None:
        # No name and no time in the file, so that the same documents give the same bytes.
        with temporary.open("wb") as raw, gzip.GzipFile("", "wb", 5, raw, mtime=0) as handle:
            for document in documents:
                line = asdict(document) | {"sha256": document.sha256, "held_out": document.held_out}
                handle.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")

    write_atomically(path, write)


def read_documents(path: Path) -> Iterator[Document]:
    """The documents in a file of `write_documents`. Errors: TrainingError if the file is damaged."""
    try:
        with gzip.open(path) as handle:
            for line in handle:
                yield _document(json.loads(line))
    except (ValueError, TypeError, KeyError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TrainingError(f"{path} is damaged: build it again with python -m onnx_export.train.corpus") from error
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error


def _document(values: dict[str, Any]) -> Document:
    digest = values.pop("sha256")
    values.pop("held_out")
    document = Document(**values)
    if document.sha256 != digest:
        raise ValueError(document.path)
    return document
