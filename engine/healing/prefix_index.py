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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine.model_folder.manifest import sha256_of
from engine.text.vocabulary import Vocabulary
from engine.types import IdArray

try:
    import datrie
except ImportError:
    datrie = None

FORMAT = 1
"""Changes with the layout of a saved index and with the rules that make an id a candidate."""
_TRIE, _META = "trie.datrie", "index.json"
_ARRAYS = ("ids.npy", "starts.npy", "depths.npy", "ends.npy")
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


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Where the entries below each node end. Entries are numbered in the order of their bytes.

    A node is an entry, or a prefix at which entries branch: one that they continue with at least two different bytes.
    The nodes whose first entry is number i are ``starts[i]`` to ``starts[i + 1]`` (``[N + 1] int32``), by ascending
    length: ``depths[n]`` is that length and ``ends[n]`` the first number that is not below the node (``[M] int32``).
    """

    starts: IdArray
    depths: IdArray
    ends: IdArray


class DatrieIndex:
    """A double-array trie from the entries to their numbers in sorted order, and the nodes of the tree beside it.

    A query for p walks along p and takes the first entry at or below, in the trie's depth-first order. That is the
    order of the bytes, so this entry, number ``lo``, is the first of those that start with p. The last follows from
    ``lo`` and the length of p: go on from p along entry ``lo`` to the next node q (p itself, if it is one; the entry
    is one at the latest). Between p and q nothing ends and nothing branches, so the entries below p are those below q.
    And the first entry below q is ``lo`` too: of the nodes whose first entry is ``lo``, q is the shortest that is at
    least as long as p.

    For example::

        number  entry    nodes whose first entry it is: length and end
        0       re       re 2, 3
        1       ret      ret 3, 3
        2       return   return 6, 3
        3       sel      se 2, 6   sel 3, 5
        4       self     self 4, 5
        5       set      set 3, 6

        retu: first entry 2, node of length 6 -> [2, 3)      s: first entry 3, node of length 2 -> [3, 6)
        sel:  first entry 3, node of length 3 -> [3, 5)      rex: the walk fails -> nothing
    """

    name = "datrie"

    def __init__(self, ids: IdArray, nodes: Nodes, trie: Any) -> None:
        arrays = (ids, nodes.starts, nodes.depths, nodes.ends)
        assert all(array.dtype == np.int32 and array.ndim == 1 for array in arrays), "all arrays are [.] int32"
        assert len(nodes.starts) == len(ids) + 1, "every entry has its nodes"
        self.ids = ids
        self.nodes = nodes
        self.trie = trie
        # Single elements of a memoryview are read as fast as those of a list, and nothing is copied at load.
        self._starts, self._depths, self._ends = nodes.starts.data, nodes.depths.data, nodes.ends.data

    @classmethod
    def build(cls, vocabulary: Vocabulary) -> "DatrieIndex":
        """Make the index of a vocabulary. Sorted insertion is ten times faster than any other order."""
        ids, keys = sorted_candidates(vocabulary)
        trie = datrie.BaseTrie(ranges=[("\x01", chr(_ESCAPED + 1))])
        for number, key in enumerate(keys):
            trie[escape(key)] = number
        return cls(ids, find_nodes(keys), trie)

    def slice(self, prefix: bytes) -> slice:
        """One walk, one step, one look into the nodes; see `PrefixIndex.slice`."""
        if not prefix:
            return slice(0, len(self.ids))
        state = datrie.BaseState(self.trie)
        if not state.walk(escape(prefix)):
            return slice(0, 0)
        first = datrie.BaseIterator(state)
        if not first.next():
            return slice(0, 0)
        low = first.data()
        node = bisect_left(self._depths, len(prefix), self._starts[low], self._starts[low + 1])
        return slice(low, self._ends[node])

    def save(self, folder: Path, tokenizer_sha256: str) -> None:
        """Write the index as ``folder``, complete or not at all. Raises `OSError`."""
        temporary = Path(tempfile.mkdtemp(prefix=".prefix-index-", dir=folder.parent))
        try:
            self.trie.save(str(temporary / _TRIE))
            for name, array in zip(_ARRAYS, self._arrays(), strict=True):
                np.save(temporary / name, array, allow_pickle=False)
            parts = {name: sha256_of(temporary / name) for name in (_TRIE, *_ARRAYS)}
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
            if any(sha256_of(folder / name) != meta["parts"][name] for name in (_TRIE, *_ARRAYS)):
                return None
            arrays = [np.load(io.BytesIO((folder / name).read_bytes()), allow_pickle=False) for name in _ARRAYS]
            return cls(arrays[0], Nodes(*arrays[1:]), datrie.BaseTrie.load(str(folder / _TRIE)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, datrie.DatrieError):
            return None

    def _arrays(self) -> tuple[IdArray, ...]:
        return self.ids, self.nodes.starts, self.nodes.depths, self.nodes.ends


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


def find_nodes(keys: Sequence[bytes]) -> Nodes:
    """The nodes of the sorted ``keys``, no two of them equal, none empty.

    A prefix branches where two neighbours part, so the longest common prefixes of neighbours are all there are. The
    stack holds the nodes on the way to the last key that are still open, each as its length and its first entry.
    """
    nodes: list[tuple[int, int, int]] = []
    open_nodes: list[tuple[int, int]] = []
    before = b""
    for number, key in enumerate(keys):
        common = _common_length(before, key)
        first = number
        while open_nodes and open_nodes[-1][0] > common:
            depth, first = open_nodes.pop()
            nodes.append((first, depth, number))
        if common and not (open_nodes and open_nodes[-1][0] == common):
            open_nodes.append((common, first))
        open_nodes.append((len(key), number))
        before = key
    nodes += [(first, depth, len(keys)) for depth, first in open_nodes]
    table = np.array(sorted(nodes), np.int32).reshape(-1, 3)
    starts = np.searchsorted(table[:, 0], np.arange(len(keys) + 1)).astype(np.int32)
    return Nodes(starts, np.ascontiguousarray(table[:, 1]), np.ascontiguousarray(table[:, 2]))


def escape(data: bytes) -> str:
    """``data`` as a key of libdatrie, which knows at most 255 distinct characters and ends keys with character 0.

    Byte b becomes character b + 1; bytes 0xF8 to 0xFF, which UTF-8 never uses, become U+00F9 and one character more.
    Order is kept, and one escaped string starts with another exactly if the bytes do.
    """
    return data.decode("latin-1").translate(_CHARACTERS)


def _common_length(left: bytes, right: bytes) -> int:
    length = min(len(left), len(right))
    # The first bit in which two numbers differ, counted from the top: faster than any loop over the bytes.
    different = int.from_bytes(left[:length]) ^ int.from_bytes(right[:length])
    return length - (different.bit_length() + 7) // 8


def _after_extensions(prefix: bytes) -> bytes | None:
    """The least byte string greater than every extension of ``prefix``, or None if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
