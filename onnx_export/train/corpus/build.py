"""From raw files to the corpus: cleaned, of a known permissive licence, without duplicates, with a weight for each."""

import hashlib
import platform
import sysconfig
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from onnx_export.train.corpus.cleaning import MIN_CHARS, normalised, why_left_out, without_notice
from onnx_export.train.corpus.documents import (
    CORPUS_NAME,
    STANDARD_LIBRARY,
    TEST_WEIGHT,
    Corpus,
    Document,
    is_test,
    read_documents,
    split,
)
from onnx_export.train.corpus.duplicates import near_duplicates
from onnx_export.train.corpus.languages import LANGUAGES, PYTHON, language_of
from onnx_export.train.corpus.licences import header_licence, is_permissive
from onnx_export.train.corpus.sources import RawFile, folder_files

STANDARD_LIBRARY_LICENCE = "PSF-2.0"
# Number of bytes of each package in each language that one epoch sees. Without a limit a few large packages would be
# most of the text. Small packages are closer to the applications that people write, so they are seen up to twice.
PACKAGE_BYTES = 4_000_000
STANDARD_LIBRARY_BYTES = 8_000_000
MAX_WEIGHT = 2.0
# Factors on the weights of a language's files. Prose about code teaches little code.
LANGUAGE_WEIGHTS: Mapping[str, float] = MappingProxyType(
    dict.fromkeys(LANGUAGES, 1.0) | {"markdown": 0.3, "html": 0.5, "css": 0.5}
)


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


def build(
    files: Iterable[RawFile], licences: bool = True, language_weights: Mapping[str, float] = LANGUAGE_WEIGHTS
) -> Built:
    """Clean, check and weight the files. Without `licences` no licence is needed, for your own code.

    A language whose weight is 0, or that has none, is left out.
    """
    documents: list[Document] = []
    left_out: list[LeftOut] = []
    seen: set[bytes] = set()
    for file in files:
        if not language_weights.get(language_of(file.path) or PYTHON):
            continue
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
    return Built(tuple(weighted(kept, language_weights)), tuple(left_out))


def weighted(documents: Sequence[Document], language_weights: Mapping[str, float] = LANGUAGE_WEIGHTS) -> list[Document]:
    """Give the documents their weights: tests have less, no package has more than its share of a language, and each
    language has its factor.
    """
    tested = [replace(document, weight=TEST_WEIGHT if is_test(document.path) else 1.0) for document in documents]
    totals: Counter[tuple[str, str]] = Counter()
    for document in tested:
        totals[document.package, document.language] += int(document.weight * len(document.text))
    result = []
    for document in tested:
        room = STANDARD_LIBRARY_BYTES if document.package == STANDARD_LIBRARY else PACKAGE_BYTES
        total = max(1, totals[document.package, document.language])
        factor = min(MAX_WEIGHT, room / total) if document.package else 1.0
        factor = min(MAX_WEIGHT, factor * language_weights.get(document.language, 1.0))
        result.append(replace(document, weight=round(document.weight * factor, 4)))
    return result


def _document(file: RawFile, seen: set[bytes], licences: bool) -> Document | LeftOut:
    text = normalised(file.content)
    if text is None:
        return LeftOut(file.package, file.path, "not UTF-8")
    reason = why_left_out(file.path, text)
    if reason is not None:
        return LeftOut(file.package, file.path, reason)
    language = language_of(file.path) or PYTHON
    licence, licence_from = file.licence, file.licence_from
    if licences:
        header = header_licence(text, language)
        if header is not None:
            licence, licence_from = header, "file"
        if licence is None or not is_permissive(licence):
            return LeftOut(file.package, file.path, f"licence: {licence or 'unknown'}")
    text = without_notice(text, language)
    if len(text.strip()) < MIN_CHARS:
        return LeftOut(file.package, file.path, "short")
    digest = hashlib.sha256(text.strip().encode()).digest()
    if digest in seen:
        return LeftOut(file.package, file.path, "duplicate")
    seen.add(digest)
    return Document(file.path, text, file.package, file.version, licence or "", licence_from)
