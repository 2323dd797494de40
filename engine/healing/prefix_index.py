"""Which vocabulary entries start with given bytes, as one contiguous slice of the ids sorted by their bytes.

So the probability of all candidates is one log-sum-exp over a gathered slice, and a query costs the same for one
candidate as for a hundred thousand. Two implementations, tested against the same reference: `SortedIndex` finds the
slice by bisection; `DatrieIndex` finds its first entry in a double-array trie (Aoe 1989, as implemented by libdatrie),
which is kept in the model folder. The trie is used if ``datrie`` is installed, which takes a C compiler.
"""

import io
import json
import logging
import shutil
import tempfile
from bisect import bisect_left
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine.model_folder.known_hashes import sha256_of
from engine.text.vocabulary import Vocabulary
from engine.types import IdArray

try:
    import datrie
except ImportError:
    datrie = None

FORMAT = 2
"""Changes with the files of a saved index and with the rules that make an id a candidate."""
_TRIE, _IDS, _META = "trie.datrie", "ids.npy", "index.json"
_ESCAPED = 0xF8
"""Bytes from here on become two characters; see `escape`."""
_CHARACTERS = tuple(chr(b + 1) if b < _ESCAPED else chr(_ESCAPED + 1) + chr(b - _ESCAPED + 1) for b in range(256))
_log = logging.getLogger(__name__)


class PrefixIndex(Protocol):
    """Candidate ids sorted by their bytes, ``[N] int32``, and which of them start with given bytes."""

    @property
    def name(self) -> str:
        """The implementation, for reports."""
        ...

    @property
    def ids(self) -> IdArray: ...

    def slice(self, prefix: bytes) -> slice:
        """The range of `ids` whose bytes start with ``prefix``; empty if none does, everything for ``b""``."""
        ...


class SortedIndex:
    """Binary search over the sorted entries. It needs only the sort, and nothing is saved."""

    name = "sorted"

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.ids = sorted_candidates(vocabulary)
        self._keys = [vocabulary.token_bytes[token] for token in self.ids.tolist()]

    def slice(self, prefix: bytes) -> slice:
        """Two bisections; see `PrefixIndex.slice`."""
        low = bisect_left(self._keys, prefix)
        end = _after_extensions(prefix)
        return slice(low, len(self._keys) if end is None else bisect_left(self._keys, end, low))


class DatrieIndex:
    """A double-array trie from each entry to its number in sorted order; the end of a slice is found by bisection.

    The trie is walked in the order of the bytes, so the first entry at or below a prefix is the first of the slice.
    """

    name = "datrie"

    def __init__(self, vocabulary: Vocabulary, ids: IdArray, trie: Any) -> None:
        self.ids = ids
        self._trie = trie
        # Bisection works on the ids. Making a list of their bytes would take longer than loading the trie.
        self._numbers, self._bytes_of = ids.data, vocabulary.token_bytes.__getitem__

    @classmethod
    def build(cls, vocabulary: Vocabulary) -> "DatrieIndex":
        """Make the index of a vocabulary. Sorted insertion is ten times faster than any other order."""
        ids = sorted_candidates(vocabulary)
        trie = datrie.BaseTrie(ranges=[("\x01", chr(_ESCAPED + 1))])
        for number, token in enumerate(ids.tolist()):
            trie[escape(vocabulary.token_bytes[token])] = number
        return cls(vocabulary, ids, trie)

    def slice(self, prefix: bytes) -> slice:
        """One walk and one bisection; see `PrefixIndex.slice`."""
        state = datrie.BaseState(self._trie)
        if not state.walk(escape(prefix)):
            return slice(0, 0)
        first = datrie.BaseIterator(state)
        if not first.next():
            return slice(0, 0)
        low, end = first.data(), _after_extensions(prefix)
        high = len(self.ids) if end is None else bisect_left(self._numbers, end, low, key=self._bytes_of)
        return slice(low, high)

    def save(self, folder: Path, tokenizer_sha256: str) -> None:
        """Write the index as ``folder``, complete or not at all. Raises `OSError`."""
        temporary = Path(tempfile.mkdtemp(prefix=".prefix-index-", dir=folder.parent))
        try:
            self._trie.save(str(temporary / _TRIE))
            np.save(temporary / _IDS, self.ids, allow_pickle=False)
            parts = {name: sha256_of(temporary / name) for name in (_TRIE, _IDS)}
            meta = {"format": FORMAT, "tokenizer": tokenizer_sha256, "parts": parts}
            (temporary / _META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
            temporary.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @classmethod
    def load(cls, vocabulary: Vocabulary, folder: Path, tokenizer_sha256: str) -> "DatrieIndex | None":
        """Read a saved index, or None if it is absent, damaged, of another format, tokenizer or vocabulary.

        Hashes are compared before libdatrie sees the file: it trusts what it reads, and a wrong double array can take
        the process down.
        """
        try:
            meta = json.loads((folder / _META).read_text(encoding="utf-8"))
            if meta["format"] != FORMAT or meta["tokenizer"] != tokenizer_sha256:
                return None
            if any(sha256_of(folder / name) != meta["parts"][name] for name in (_TRIE, _IDS)):
                return None
            ids = np.load(io.BytesIO((folder / _IDS).read_bytes()), allow_pickle=False)
            if ids.dtype != np.int32 or not np.array_equal(np.sort(ids), vocabulary.candidate_ids):
                return None
            return cls(vocabulary, ids, datrie.BaseTrie.load(str(folder / _TRIE)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, datrie.DatrieError):
            return None  # not saved yet, or damaged: it is built again


def load_or_build_index(vocabulary: Vocabulary, folder: Path | None, tokenizer_sha256: str) -> PrefixIndex:
    """The prefix index of a vocabulary: the one saved in the model ``folder``, else a new one, saved there if possible.

    If the folder cannot be written (or is None), the index is kept in memory only; that is not an error.
    ``tokenizer_sha256`` is the hash of the tokenizer file, hexadecimal.
    """
    if datrie is None:
        return SortedIndex(vocabulary)
    if folder is None:
        return DatrieIndex.build(vocabulary)
    saved = folder / f"prefix-index-{tokenizer_sha256[:16]}"
    index = DatrieIndex.load(vocabulary, saved, tokenizer_sha256)
    if index is not None:
        return index
    index = DatrieIndex.build(vocabulary)
    try:
        index.save(saved, tokenizer_sha256)
    except (OSError, datrie.DatrieError) as error:
        _log.info("the prefix index is kept in memory only: %s", error)
    return index


def sorted_candidates(vocabulary: Vocabulary) -> IdArray:
    """Candidate ids sorted by their bytes, ``[N] int32``. No two are equal, so the order is total."""
    ids = np.array(sorted(vocabulary.candidate_ids.tolist(), key=vocabulary.token_bytes.__getitem__), np.int32)
    ids.flags.writeable = False
    return ids


def escape(data: bytes) -> str:
    """``data`` as a key of libdatrie, which knows at most 255 distinct characters and ends keys with character 0.

    Byte b becomes character b + 1. Bytes 0xF8 to 0xFF, which UTF-8 never uses, become U+00F9 and one more character.
    Order is kept, and one escaped string starts with another exactly if the bytes do.
    """
    return data.decode("latin-1").translate(_CHARACTERS)


def _after_extensions(prefix: bytes) -> bytes | None:
    """The least byte string greater than every extension of ``prefix``, or None if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
