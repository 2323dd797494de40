"""From raw files to the corpus: cleaned, of a known permissive licence, without duplicates, with a weight for each."""

import hashlib
import platform
import sysconfig
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onnx_export.train.corpus.cleaning import MIN_CHARS, normalised, why_left_out, without_notice
from onnx_export.train.corpus.documents import (
    CORPUS_NAME,
    TEST_WEIGHT,
    Corpus,
    Document,
    is_test,
    read_documents,
    split,
)
from onnx_export.train.corpus.duplicates import near_duplicates
from onnx_export.train.corpus.licences import header_licence, is_permissive
from onnx_export.train.corpus.sources import RawFile, folder_files

STANDARD_LIBRARY = "python"
STANDARD_LIBRARY_LICENCE = "PSF-2.0"
# Number of bytes of each package that one epoch sees. Without a limit a few large packages would be most of the text.
# Small packages are closer to the applications that people write, so they are seen up to twice.
PACKAGE_BYTES = 4_000_000
STANDARD_LIBRARY_BYTES = 8_000_000
MAX_WEIGHT = 2.0


@dataclass(frozen=True)
class LeftOut:
    """A file that is not in the corpus, and the reason."""

    package: str
    path: str
    reason: str


@dataclass(frozen=True)
class Built:
    """The documents of a corpus, and the files that were left out."""

    documents: tuple[Document, ...]
    left_out: tuple[LeftOut, ...]


def standard_library() -> Iterable[RawFile]:
    """The sources of the running Python's standard library."""
    folder = Path(sysconfig.get_path("stdlib"))
    return folder_files(folder, STANDARD_LIBRARY, platform.python_version(), STANDARD_LIBRARY_LICENCE)


def read_corpus(root: Path | None = None) -> Corpus:
    """The corpus in `root`, made by the corpus command; else every usable `*.py` below `root`, your own code for
    instance; without `root` the standard library of the running Python.

    Errors: TrainingError if there is no usable text, or the corpus is damaged.
    """
    if root is not None and (root / CORPUS_NAME).exists():
        return split(read_documents(root / CORPUS_NAME), root)
    files = standard_library() if root is None else folder_files(root, "", "", "")
    return split(build(files, licences=root is None).documents, root or "the standard library")


def build(files: Iterable[RawFile], licences: bool = True) -> Built:
    """Clean, check and weight the files. Without `licences` no licence is needed, for your own code."""
    documents: list[Document] = []
    left_out: list[LeftOut] = []
    seen: set[bytes] = set()
    for file in files:
        made = _document(file, seen, licences)
        if isinstance(made, Document):
            documents.append(made)
        else:
            left_out.append(made)
    twins = near_duplicates([document.text for document in documents])
    kept = []
    for document, twin in zip(documents, twins, strict=True):
        if twin is None:
            kept.append(document)
        else:
            reason = f"near duplicate of {documents[twin].path}"
            left_out.append(LeftOut(document.package, document.path, reason))
    return Built(tuple(weighted(kept)), tuple(left_out))


def weighted(documents: Sequence[Document]) -> list[Document]:
    """Give the documents their weights: tests have less, and no package has more than its share."""
    tested = [replace(document, weight=TEST_WEIGHT if is_test(document.path) else 1.0) for document in documents]
    totals: Counter[str] = Counter()
    for document in tested:
        totals[document.package] += int(document.weight * len(document.text))
    result = []
    for document in tested:
        room = STANDARD_LIBRARY_BYTES if document.package == STANDARD_LIBRARY else PACKAGE_BYTES
        factor = min(MAX_WEIGHT, room / max(1, totals[document.package])) if document.package else 1.0
        result.append(replace(document, weight=round(document.weight * factor, 4)))
    return result


def _document(file: RawFile, seen: set[bytes], licences: bool) -> Document | LeftOut:
    text = normalised(file.content)
    if text is None:
        return LeftOut(file.package, file.path, "not UTF-8")
    reason = why_left_out(file.path, text)
    if reason is not None:
        return LeftOut(file.package, file.path, reason)
    licence, licence_from = file.licence, file.licence_from
    if licences:
        header = header_licence(text)
        if header is not None:
            licence, licence_from = header, "file"
        if licence is None or not is_permissive(licence):
            return LeftOut(file.package, file.path, f"licence: {licence or 'unknown'}")
    text = without_notice(text)
    if len(text.strip()) < MIN_CHARS:
        return LeftOut(file.package, file.path, "short")
    digest = hashlib.sha256(text.strip().encode()).digest()
    if digest in seen:
        return LeftOut(file.package, file.path, "duplicate")
    seen.add(digest)
    return Document(file.path, text, file.package, file.version, licence or "", licence_from)
