"""Which vocabulary entries start with given bytes, as one contiguous slice of the ids sorted by their bytes.

The mass of all candidates is then one log-sum-exp over a gathered slice, and a query costs the same for one candidate
as for a hundred thousand. Two implementations, tested against the same reference: `DatrieIndex` walks a double-array
trie (Aoe 1989, as implemented by libdatrie), `SortedIndex` searches the sorted entries by bisection. The trie is used
where ``datrie`` can be imported; it needs a C compiler to install, so not every platform has it.
"""

import io
import json
import logging
import shutil
import tempfile
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.manifest import sha256_of
from engine.types import IdArray
from engine.vocabulary import Vocabulary

try:
    import datrie
except ImportError:
    datrie = None

FORMAT = 1
"""Changes with the layout of a saved index and with the rules that make an id a candidate."""
_TRIE, _IDS, _RANGES, _META = "trie.datrie", "ids.npy", "ranges.npy", "index.json"
_PARTS = (_TRIE, _IDS, _RANGES)
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
    """Binary search over the sorted entries: no preparation but the sort, nothing to save."""

    name = "sorted"

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.ids, self._keys = sorted_candidates(vocabulary)

    def slice(self, prefix: bytes) -> slice:
        """Two bisections; see `PrefixIndex.slice`."""
        low = bisect_left(self._keys, prefix)
        end = _after_extensions(prefix)
        return slice(low, len(self._keys) if end is None else bisect_left(self._keys, end, low))


class DatrieIndex:
    """A double-array trie over the entries and over the prefixes at which they branch.

    The trie maps the key of a node to its number n, and ``ranges[n]`` is the slice of all entries below it. Nodes are
    (a) every entry and (b) every *branching* prefix: one that entries continue with at least two different bytes.

    A query walks along p and takes the first node at or below, in the trie's depth-first order. That node's range is
    the answer, for: if p is itself a node, it is the first one at or below itself. If p is not, it is no entry and all
    entries that extend it continue with the same byte c; so the entries that extend p are those that extend ``p + c``.
    Repeat with ``p + c`` until a node q is reached, at the latest when one entry is left. No node lies between p and
    q, every node below p extends q, and depth-first order visits q before them. The entries below p and q are the same.

    For example, with the entries ``re``, ``ret``, ``return``, ``sel``, ``self``, ``set``::

        nodes    re [0,3)  ret [1,3)  return [2,3)  se [3,6)  sel [3,5)  self [4,5)  set [5,6)
        retu  -> return [2,3)         s -> se [3,6)           rex -> nothing
    """

    name = "datrie"

    def __init__(self, ids: IdArray, ranges: NDArray[np.int32], trie: Any) -> None:
        assert ids.dtype == np.int32, "ids are int32"
        assert ranges.dtype == np.int32, "ranges are int32"
        self.ids = ids
        self.ranges = ranges
        self.trie = trie
        self._everything = slice(0, len(ids))
        self._nothing = slice(0, 0)
        # Reads as fast as a list and needs no hundred thousand objects made at load.
        self._bounds = ranges.reshape(-1).data

    @classmethod
    def build(cls, vocabulary: Vocabulary) -> "DatrieIndex":
        """Make the index of a vocabulary: under a second for 200,000 entries, because the keys go in sorted."""
        ids, keys = sorted_candidates(vocabulary)
        nodes = branch_ranges(keys)
        trie = datrie.BaseTrie(ranges=[("\x01", chr(_ESCAPED + 1))])
        # Sorted by bytes, so the escaped keys are sorted too: unsorted insertion is ten times slower.
        for number, key in enumerate(map(escape, nodes)):
            trie[key] = number
        return cls(ids, np.array(list(nodes.values()), np.int32).reshape(-1, 2), trie)

    def slice(self, prefix: bytes) -> slice:
        """One walk and one step; see `PrefixIndex.slice`."""
        if not prefix:
            return self._everything
        state = datrie.BaseState(self.trie)
        if not state.walk(escape(prefix)):
            return self._nothing
        first = datrie.BaseIterator(state)
        if not first.next():
            return self._nothing
        low = 2 * first.data()
        return slice(self._bounds[low], self._bounds[low + 1])

    def save(self, folder: Path, tokenizer_sha256: str) -> None:
        """Write the index as ``folder``, complete or not at all. Raises `OSError`."""
        temporary = Path(tempfile.mkdtemp(prefix=".prefix-index-", dir=folder.parent))
        try:
            self.trie.save(str(temporary / _TRIE))
            np.save(temporary / _IDS, self.ids, allow_pickle=False)
            np.save(temporary / _RANGES, self.ranges, allow_pickle=False)
            parts = {name: sha256_of(temporary / name) for name in _PARTS}
            meta = {"format": FORMAT, "tokenizer": tokenizer_sha256, "parts": parts}
            (temporary / _META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
            temporary.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path, tokenizer_sha256: str) -> "DatrieIndex | None":
        """Read a saved index, or None where it is absent, of another format or tokenizer, or damaged.

        Hashes are compared before libdatrie sees the file: it trusts what it reads, and a wrong double array can take
        the process down.
        """
        try:
            meta = json.loads((folder / _META).read_text(encoding="utf-8"))
            if meta["format"] != FORMAT or meta["tokenizer"] != tokenizer_sha256:
                return None
            if any(sha256_of(folder / name) != meta["parts"][name] for name in _PARTS):
                return None
            ids = np.load(io.BytesIO((folder / _IDS).read_bytes()), allow_pickle=False)
            ranges = np.load(io.BytesIO((folder / _RANGES).read_bytes()), allow_pickle=False)
            return cls(ids, ranges, datrie.BaseTrie.load(str(folder / _TRIE)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, datrie.DatrieError):
            return None


def load_or_build_index(vocabulary: Vocabulary, folder: Path | None, tokenizer_sha256: str) -> PrefixIndex:
    """The prefix index of a vocabulary: the one saved in the model ``folder``, else a new one, saved there if possible.

    A folder that cannot be written (or None) means that the index lives in memory only; that is no error.
    ``tokenizer_sha256`` is the hash of the tokenizer file, hexadecimal.
    """
    if datrie is None:
        return SortedIndex(vocabulary)
    if folder is None:
        return DatrieIndex.build(vocabulary)
    saved = folder / f"prefix-index-{tokenizer_sha256[:16]}"
    index = DatrieIndex.load(saved, tokenizer_sha256)
    if index is not None and np.array_equal(np.sort(index.ids), vocabulary.candidate_ids):
        return index
    index = DatrieIndex.build(vocabulary)
    try:
        index.save(saved, tokenizer_sha256)
    except (OSError, datrie.DatrieError) as error:
        _log.info("the prefix index is kept in memory only: %s", error)
    return index


def sorted_candidates(vocabulary: Vocabulary) -> tuple[IdArray, list[bytes]]:
    """Candidate ids sorted by their bytes, ``[N] int32``, and those bytes. No two are equal, so the order is total."""
    ids = sorted(vocabulary.candidate_ids.tolist(), key=vocabulary.token_bytes.__getitem__)
    array = np.array(ids, np.int32)
    array.flags.writeable = False
    return array, [vocabulary.token_bytes[token] for token in ids]


def branch_ranges(keys: Sequence[bytes]) -> dict[bytes, tuple[int, int]]:
    """Every key and every branching prefix of the sorted ``keys``, in sorted order, with its range of keys.

    A prefix branches where two neighbours part, so the longest common prefixes of neighbours are all there are. The
    stack holds the nodes that are still open: each is a prefix of the next.
    """
    ranges: dict[bytes, tuple[int, int]] = {}
    open_nodes: list[tuple[bytes, int]] = []
    for position, key in enumerate(keys):
        low = position
        common = _common_length(open_nodes[-1][0], key) if open_nodes else 0
        while open_nodes and len(open_nodes[-1][0]) > common:
            closed, low = open_nodes.pop()
            ranges[closed] = (low, position)
        if common and not (open_nodes and len(open_nodes[-1][0]) == common):
            open_nodes.append((key[:common], low))
        open_nodes.append((key, position))
    for closed, low in open_nodes:
        ranges[closed] = (low, len(keys))
    return dict(sorted(ranges.items()))


def escape(data: bytes) -> str:
    """``data`` as a key of libdatrie, which knows at most 255 distinct characters and ends keys with character 0.

    Byte b becomes character b + 1; bytes 0xF8 to 0xFF, which UTF-8 never uses, become U+00F9 and one character more.
    Order is kept, and one escaped string starts with another exactly if the bytes do.
    """
    return data.decode("latin-1").translate(_CHARACTERS)


def _common_length(left: bytes, right: bytes) -> int:
    for length, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return length
    return min(len(left), len(right))


def _after_extensions(prefix: bytes) -> bytes | None:
    """The least byte string greater than every extension of ``prefix``, or None if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
