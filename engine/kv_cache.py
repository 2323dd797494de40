"""The key/value cache as a rewindable sequence of tokens.

Between two keystrokes nearly the whole prompt stays the same. `TokenCache` knows which tokens the session's buffers
hold, so a prompt costs a forward pass over what differs from the one before, and going back costs nothing.
"""

from collections.abc import Callable, Sequence

import numpy as np

from engine.session import ModelSession
from engine.types import FloatArray, IdArray

PREFILL_CHUNK = 128
"""Tokens of one prefill call. Cancellation is heeded between two calls: this many tokens bound how late."""
REMEMBERED_ROWS = 64
"""Rows of logits kept: 4 MB with 16k entries, 51 MB with 200k."""


class TokenCache:
    """One sequence in the key/value buffers of ``session``; not safe for use from two threads at once.

    What was written stays written until something else is written over it, also behind the end of the sequence: the
    tokens, and the logits of the last `REMEMBERED_ROWS` positions at which they were asked for. So a keystroke that
    agrees with what was decoded before needs no forward pass at all.
    """

    def __init__(self, session: ModelSession, *, chunk: int = PREFILL_CHUNK) -> None:
        assert chunk >= 1
        self._session = session
        self._chunk = chunk
        self._ids: IdArray = np.zeros(session.context_length, np.int32)
        self._length = 0
        self._written = 0  # positions whose keys and values are those of self._ids
        self._rows: dict[int, FloatArray] = {}

    def __len__(self) -> int:
        return self._length

    @property
    def capacity(self) -> int:
        """Tokens that fit."""
        return self._session.context_length

    @property
    def ids(self) -> IdArray:
        """A copy of the tokens held, ``[S] int32``."""
        return self._ids[: self._length].copy()

    def common_prefix(self, ids: IdArray) -> int:
        """How many leading tokens of ``ids`` (``[S] int32``) are written already."""
        limit = min(self._written, len(ids))
        different = np.flatnonzero(self._ids[:limit] != ids[:limit])
        return int(different[0]) if len(different) else limit

    def rewind(self, length: int) -> None:
        """Keep the first ``length`` tokens only. Copies nothing."""
        assert 0 <= length <= self._length
        self._length = length

    def prefill(self, ids: IdArray, rows: Sequence[int], checkpoint: Callable[[], None]) -> tuple[FloatArray, int]:
        """Make the cache hold exactly ``ids``; return the logits after the tokens at ``rows``, and the tokens reused.

        ``ids`` is ``[S] int32``, ``rows`` are K ascending indices into it; the logits are ``[K, V] float32``.
        ``checkpoint`` is called before every chunk and may raise to stop: the chunks done by then stay in the cache.
        """
        assert len(ids) > 0
        assert list(rows) == sorted(set(rows)), "rows must ascend"
        # A row is computed by a pass over its token: one that is not remembered is run again although it is written.
        common = self.common_prefix(ids)
        reused = min([common, *(row for row in rows if row >= common or row not in self._rows)])
        known = {row: self._rows[row] for row in rows if row < reused}
        self._length = reused
        while self._length < len(ids):
            checkpoint()
            start, end = self._length, min(self._length + self._chunk, len(ids))
            wanted = [row for row in rows if start <= row < end]
            known.update(zip(wanted, self._forward(ids[start:end], [row - start for row in wanted]), strict=True))
        return np.stack([known[row] for row in rows]) if rows else np.zeros((0, 0), np.float32), reused

    def append(self, token: int) -> FloatArray:
        """One decode step: add ``token`` and return the logits after it, ``[V] float32``."""
        position = self._length
        if position < self._written and self._ids[position] == token and position in self._rows:
            self._length += 1
            return self._rows[position]
        row: FloatArray = self._forward(np.array([token], np.int32), (0,))[0]
        return row

    def _forward(self, ids: IdArray, rows: Sequence[int]) -> FloatArray:
        start, end = self._length, self._length + len(ids)
        # Written over from here on, also where the call fails half-way: nothing behind may count any more.
        self._written = min(self._written, start)
        kept = [(row, logits) for row, logits in self._rows.items() if row < start]
        logits = self._session.forward(ids, start, rows)
        self._rows = dict((kept + [(start + row, of) for row, of in zip(rows, logits, strict=True)])[-REMEMBERED_ROWS:])
        self._ids[start:end] = ids
        self._length = self._written = end
        return logits
