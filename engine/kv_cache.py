"""The model as a function of a token sequence, with what was computed for earlier sequences kept.

Between two keystrokes nearly the whole prompt stays the same. `TokenCache` knows which tokens the session's buffers
hold, so a sequence costs a forward pass over what differs from the one before, and going back costs nothing. It also
remembers the last rows of logits by the sequence that they belong to: a keystroke into covers that are scored already,
or back to what was typed before, asks for rows that are known, and costs no pass at all.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from engine.session import ModelSession, SharingSession
from engine.types import FloatArray, IdArray

PREFILL_CHUNK = 128
"""Tokens of one forward pass. Cancellation is heeded between two passes: this many tokens bound how late."""
REMEMBERED_ROWS = 64
"""Rows of logits kept: 4 MB with 16k entries, 51 MB with 200k."""


class TokenCache:
    """A sequence of tokens over the key/value buffers of ``session``; not safe for use from two threads at once.

    The sequence is what the caller says it is; the buffers follow when a forward pass is needed.
    """

    def __init__(self, session: ModelSession, *, chunk: int = PREFILL_CHUNK) -> None:
        assert chunk >= 1
        self._session = session
        self._chunk = chunk
        self._ids: IdArray = np.zeros(session.context_length, np.int32)
        self._length = 0
        self._written: IdArray = np.zeros(0, np.int32)  # the tokens whose keys and values are in the buffers
        self._rows: OrderedDict[bytes, FloatArray] = OrderedDict()

    def __len__(self) -> int:
        return self._length

    @property
    def capacity(self) -> int:
        """Tokens that fit."""
        return self._session.context_length

    @property
    def ids(self) -> IdArray:
        """A copy of the sequence, ``[S] int32``."""
        return self._ids[: self._length].copy()

    def sibling(self) -> "TokenCache":
        """An empty cache over the same weights. Raises `engine.errors.DeviceError` where its buffers do not fit."""
        assert isinstance(self._session, SharingSession), "this session serves one sequence only"
        return TokenCache(self._session.sibling(), chunk=self._chunk)

    def rewind(self, length: int) -> None:
        """Keep the first ``length`` tokens of the sequence only. Copies nothing."""
        assert 0 <= length <= self._length
        self._length = length

    def seek(self, ids: IdArray) -> None:
        """Make ``ids`` (``[S] int32``) the sequence. No forward pass is made before logits are asked for."""
        self._length = len(ids)
        self._ids[: self._length] = ids

    def prefill(self, ids: IdArray, rows: Sequence[int], checkpoint: Callable[[], None]) -> tuple[FloatArray, int]:
        """Make ``ids`` the sequence; return the logits after its tokens at ``rows``, and how many tokens were not run.

        ``ids`` is ``[S] int32``, ``rows`` are K ascending indices into it, K >= 1; the logits are ``[K, V] float32``.
        ``checkpoint`` is called before every forward pass and may raise to stop: what was run by then is kept.
        """
        assert list(rows) == sorted(set(rows)), "rows must ascend"
        self.seek(ids)
        found = {row: logits for row in rows if (logits := self._remembered(row)) is not None}
        missing = [row for row in rows if row not in found]
        if not missing:
            return np.stack([found[row] for row in rows]), len(ids)
        # A row is computed by a pass over its token, so the first one missing is run again where it is written.
        start = reused = min(self._common_prefix(), missing[0])
        while start <= missing[-1]:
            checkpoint()
            end = min(start + self._chunk, missing[-1] + 1)
            found.update(self._run(start, end, [row for row in missing if start <= row < end]))
            start = end
        return np.stack([found[row] for row in rows]), reused

    def append(self, token: int, checkpoint: Callable[[], None]) -> FloatArray:
        """One decode step: add ``token`` and return the logits after it, ``[V] float32``; raises as ``checkpoint``."""
        assert self._length < self.capacity, "the cache is full"
        self._ids[self._length] = token
        logits, _ = self.prefill(self._ids[: self._length + 1], (self._length,), checkpoint)
        row: FloatArray = logits[0]
        return row

    def _common_prefix(self) -> int:
        """How many leading tokens of the sequence are in the buffers."""
        limit = min(len(self._written), self._length)
        different = np.flatnonzero(self._written[:limit] != self._ids[:limit])
        return int(different[0]) if len(different) else limit

    def _run(self, start: int, end: int, rows: list[int]) -> dict[int, FloatArray]:
        """A forward pass over the tokens ``start`` to ``end``; the logits after the tokens at ``rows``."""
        # Forgotten first: a pass that fails half-way has written over something.
        self._written = self._written[:start]
        logits = self._session.forward(self._ids[start:end], start, [row - start for row in rows])
        self._written = self._ids[:end].copy()
        for row, values in zip(rows, logits, strict=True):
            self._rows[self._key(row)] = values
            if len(self._rows) > REMEMBERED_ROWS:
                self._rows.popitem(last=False)
        return dict(zip(rows, logits, strict=True))

    def _remembered(self, row: int) -> FloatArray | None:
        key = self._key(row)
        if key in self._rows:
            self._rows.move_to_end(key)
        return self._rows.get(key)

    def _key(self, row: int) -> bytes:
        return self._ids[: row + 1].tobytes()
