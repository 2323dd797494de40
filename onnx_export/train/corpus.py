"""The training text: the standard library of the running Python, cleaned, deduplicated and split.

The standard library is text that every developer already has, under one permissive licence (PSF-2.0), and that is
written in ordinary Python. Tables that only look like code are left out, because they would take up vocabulary.
"""

import hashlib
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import TrainingError

# Generated or tabular modules: codec tables, the pydoc topics, HTML entities, keyword and sysconfig tables.
SKIPPED_FOLDERS = frozenset({"site-packages", "dist-packages", "encodings", "pydoc_data", "__pycache__", "__phello__"})
SKIPPED_FILES = re.compile(
    r"(^|/)(_sysconfigdata.*|keyword|token|stringprep|sre_constants|html/entities|idlelib/help.*|bad_?coding.*|"
    r"badsyntax.*|re_tests|fork_wait|.*_data|test_unicode_identifiers|tokenize_tests.*)\.py$"
)
HELD_OUT_ONE_IN = 50  # 2 % of the files
MAX_DIGIT_SHARE = 0.12  # above this a file is a table of numbers
MAX_MEAN_LINE_CHARS = 100.0
MIN_CHARS = 200


@dataclass(frozen=True)
class Document:
    """One source file: POSIX path relative to the corpus root, and its text with `\\n` line ends."""

    path: str
    text: str

    @property
    def is_test(self) -> bool:
        """Whether the file belongs to a test suite; those are repetitive and are given less weight."""
        parts = self.path.split("/")
        return "test" in parts[:-1] or "tests" in parts[:-1] or "idle_test" in parts[:-1]


@dataclass(frozen=True)
class Corpus:
    """Documents to train on and documents never trained on, both sorted by path."""

    train: tuple[Document, ...]
    held_out: tuple[Document, ...]


def read_corpus(root: Path | None = None) -> Corpus:
    """Read every usable `*.py` below `root` (default: the standard library of the running Python).

    Errors: TrainingError where the folder has no usable file.
    """
    folder = root if root is not None else Path(sysconfig.get_path("stdlib"))
    documents = tuple(_unique(_documents(folder)))
    if not documents:
        raise TrainingError(f"no Python text to train on below {folder}: name a folder of sources with --corpus")
    train = tuple(document for document in documents if not is_held_out(document.path))
    held_out = tuple(document for document in documents if is_held_out(document.path))
    if not train:
        raise TrainingError(
            f"every file below {folder} falls into the held-out set: name a larger folder with --corpus"
        )
    return Corpus(train, held_out)


def is_held_out(path: str) -> bool:
    """Whether the file of this relative path is held out; the path alone decides, so it is the same everywhere."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "big") % HELD_OUT_ONE_IN == 0


def _documents(folder: Path) -> Iterator[Document]:
    for file in sorted(folder.rglob("*.py")):
        relative = file.relative_to(folder)
        if SKIPPED_FOLDERS.intersection(relative.parts) or SKIPPED_FILES.search(relative.as_posix()):
            continue
        try:
            text = file.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        if _looks_like_code(text):
            yield Document(relative.as_posix(), text)


def _looks_like_code(text: str) -> bool:
    if len(text) < MIN_CHARS:
        return False
    digits = sum(map(text.count, "0123456789"))
    return digits <= MAX_DIGIT_SHARE * len(text) and len(text) <= MAX_MEAN_LINE_CHARS * (text.count("\n") + 1)


def _unique(documents: Iterator[Document]) -> Iterator[Document]:
    seen: set[bytes] = set()
    for document in documents:
        digest = hashlib.sha256(document.text.strip().encode()).digest()
        if digest not in seen:
            seen.add(digest)
            yield document
