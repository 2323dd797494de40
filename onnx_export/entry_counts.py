"""How much text uses each entry of a vocabulary. A cut of the vocabulary is based on this."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engine.errors import ExportError

SUFFIXES = frozenset(
    {
        *(".bash", ".c", ".cc", ".cpp", ".cs", ".css", ".go", ".h", ".hpp", ".html", ".java", ".js", ".json", ".jsx"),
        *(".kt", ".lua", ".md", ".php", ".py", ".pyi", ".rb", ".rs", ".rst", ".scss", ".sh", ".sql", ".svelte"),
        *(".swift", ".toml", ".ts", ".tsx", ".vim", ".vue", ".xml", ".yaml", ".yml"),
    }
)
MOST_BYTES = 1 << 20
"""Files with more bytes are data, not text that somebody wrote."""
_BATCH = 64
_FEW = 3


def text_files(sources: Sequence[Path]) -> list[Path]:
    """The files of code and text in the folders, sorted, and the files that are named directly.

    Errors: ExportError if there is none, or a source does not exist.
    """
    found: list[Path] = []
    for source in sources:
        if source.is_file():
            found.append(source)
        elif source.is_dir():
            found += [path for path in sorted(source.rglob("*")) if _is_text(path)]
        else:
            raise ExportError(f"{source} does not exist; name a file or a folder of code")
    if not found:
        raise ExportError(f"{', '.join(map(str, sources))} holds no file of code; name another folder")
    return found


def entry_scores(tokenizer: Tokenizer, files: Sequence[Path]) -> NDArray[np.float64]:
    """How much of the text each entry writes, ``[entries]``; 0 for entries that occur fewer than three times.

    Each kind of file (by its suffix) adds the entry's share of its tokens, times the square root of their number. So a
    language with a hundred times the text has ten times the weight, and no language is lost.
    """
    size = tokenizer.get_vocab_size()
    by_suffix: dict[str, NDArray[np.int64]] = {}
    for suffix, texts in _batches(files):
        counts = by_suffix.setdefault(suffix, np.zeros(size, np.int64))
        for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
            counts += np.bincount(encoding.ids, minlength=size)
    scores = np.zeros(size)
    for counts in by_suffix.values():
        scores += counts / math.sqrt(max(1, int(counts.sum())))
    total: NDArray[np.int64] = np.sum(list(by_suffix.values()), axis=0)
    return np.where(total < _FEW, 0.0, scores)


@dataclass(frozen=True, slots=True)
class Cut:
    """Which part of a vocabulary is kept: at most ``entries`` entries, those that the text in files and folders
    uses most.
    """

    texts: tuple[Path, ...]
    entries: int

    def scores(self, tokenizer: str) -> NDArray[np.float64]:
        """The scores of the entries of a tokenizer.json. Errors: ExportError if there is no text."""
        return entry_scores(Tokenizer.from_str(tokenizer), text_files(self.texts))


def _is_text(path: Path) -> bool:
    return path.suffix in SUFFIXES and path.is_file() and path.stat().st_size <= MOST_BYTES


def _batches(files: Sequence[Path]) -> Iterator[tuple[str, list[str]]]:
    """Suffixes and texts of some files at a time. Files that are not UTF-8 are left out."""
    waiting: dict[str, list[str]] = {}
    for path in files:
        try:
            text = path.read_bytes().decode("utf-8")  # keep line breaks as they are
        except (OSError, UnicodeDecodeError):
            continue
        texts = waiting.setdefault(path.suffix, [])
        texts.append(text)
        if len(texts) == _BATCH:
            yield path.suffix, waiting.pop(path.suffix)
    yield from waiting.items()
