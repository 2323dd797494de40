"""The model as a function of a token sequence, with what was computed for earlier sequences kept.

Between two keystrokes nearly the whole prompt stays the same. `TokenCache` knows which tokens each slot of the session
holds, so a sequence costs a forward pass over what differs from the one before, and going back costs nothing. Several
sequences that differ in their last tokens are held side by side and cost one pass together. It also remembers the last
rows of logits by their sequence. If a keystroke stays within covers that are already scored, or goes back to earlier
text, the rows that it needs are known, and it costs no pass.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np
from numpy.typing import NDArray

from engine.errors import Cancelled, DeviceError
from engine.runtime.copy_mixture import NOTHING, Copier
from engine.runtime.model_session import InterruptibleSession, ModelSession, SharingSession
from engine.runtime.place_store import PlaceStore, common_length
from engine.runtime.places import Places
from engine.runtime.reading_pace import LEAST_CHUNK, ReadingPace
from engine.runtime.remembered_rows import RememberedRows, own_copy, stacked
from engine.runtime.token_names import NO_NAME
from engine.types import FloatArray, IdArray

PREFILL_CHUNK = 64
"""Tokens of one forward pass, at most."""
CUDA_PREFILL_CHUNK = 512
"""The same on a GPU, which reads that many in some milliseconds, and would be under-used with fewer."""


class TokenCache:
    """Logits after sequences of tokens; not safe for use from two threads at once.

    What it returns depends on the sequence and the copy source, not on earlier calls. Rows are read-only, because the
    same arrays are remembered.
    """

    def __init__(
        self,
        session: ModelSession,
        *,
        chunk: int = PREFILL_CHUNK,
        copier: Copier | None = None,
        clock: Callable[[], float] = time.perf_counter,
        store: PlaceStore | None = None,
    ) -> None:
        """``chunk`` bounds the tokens of a pass; ``clock`` returns seconds; ``store`` as for `Places`."""
        assert chunk >= 1
        self._session = session
        self._pace = ReadingPace(chunk, chunk)
        self._clock = clock
        self.places = Places(session, store)
        """What was read before and is no longer in a slot."""
        self._copier = copier
        self._source = NOTHING
        self._typed = NO_NAME
        # The tokens whose keys and values are in each slot: the first `_lengths` of each row.
        self._written: IdArray = np.zeros((session.slots, session.context_length), np.int32)
        self._lengths: NDArray[np.intp] = np.zeros(session.slots, np.intp)
        self._rows = RememberedRows()

    @property
    def capacity(self) -> int:
        """Tokens that a sequence may have."""
        return self._session.context_length

    @property
    def slots(self) -> int:
        """Sequences that are held side by side."""
        return self._session.slots

    @property
    def copies(self) -> bool:
        """Whether rows are mixed with copies from a source."""
        return self._copier is not None

    def sibling(self) -> "TokenCache":
        """An empty cache over the same weights. Raises `engine.errors.DeviceError` if its buffers do not fit."""
        assert isinstance(self._session, SharingSession), "this session serves one cache only"
        return self.over(self._session.sibling(), self._clock)

    def over(self, session: ModelSession, clock: Callable[[], float], store: PlaceStore | None = None) -> "TokenCache":
        """An empty cache like this one over another session of the same model."""
        cache = TokenCache(session, chunk=self._pace.most, copier=self._copier, clock=clock, store=store)
        cache._pace.token_s = self._pace.token_s
        return cache

    def interruptible(self) -> Callable[[], None]:
        """See `engine.runtime.model_session.InterruptibleSession`; it does nothing if passes cannot be stopped."""
        if not isinstance(self._session, InterruptibleSession):
            return lambda: None
        return self._session.interruptible()

    @property
    def tokens_per_s(self) -> float:
        """How fast it reads, as measured; infinite before the first pass of several tokens."""
        return self._pace.tokens_per_s

    def measure(self, token: int) -> None:
        """Measure how fast the model reads, with a pass over copies of ``token`` that is forgotten afterwards. The
        model must have run before, because the first pass of a graph takes longer.
        """
        self._lengths[0] = 0
        self._run(0, np.full(min(2 * LEAST_CHUNK, self.capacity), token, np.int32), 0, 2 * LEAST_CHUNK, [])
        self._pace.settle()
        self._lengths[0] = 0

    def known(self, ids: IdArray) -> int:
        """How many leading tokens of ``ids``, ``[S] int32``, need no pass. The last token is never counted."""
        return min(len(ids) - 1, max(int(self._common(ids).max()), self.places.known(ids)))

    def copy_from(self, source: IdArray, prompt: IdArray) -> None:
        """From now on, mix rows with copies from ``source``, ``[R] int32``. ``prompt``, ``[S] int32``, ends in the name
        at the cursor. Before the first call nothing is mixed.
        """
        if self._copier is None:
            return
        typed = self._copier.names.last_name(prompt)
        if typed != self._typed or not np.array_equal(source, self._source):
            self._source, self._typed = source, typed
            self.forget_rows()

    def turn_to(self, owner: str) -> bool:
        """From now on the sequences are those of ``owner``. What the slots hold of another one is kept among its places
        and is of no use to anybody else: so nobody learns from the time of an answer what others have written. Returns
        whether it is another one than before.
        """
        if owner == self.places.owner:
            return False
        for slot, length in enumerate(self._lengths):
            with suppress(DeviceError), self._as_large():  # the other one will read it again; this one goes on
                self.places.leave(slot, self._written[slot, :length], 0)
            self._lengths[slot] = 0
        self._rows.clear()
        self.places.owner = owner
        return True

    def forget_rows(self) -> None:
        """Forget all remembered rows, but keep the slots. For measurements."""
        self._rows.clear()

    def prefill(
        self, ids: IdArray, rows: Sequence[int], checkpoint: Callable[[], None], *, aside: bool = False
    ) -> tuple[FloatArray, int]:
        """The logits after the tokens of ``ids`` at ``rows``, and how many tokens came from the cache.

        ``ids`` is ``[S] int32``, ``rows`` are K ascending indices into it, K >= 1; the logits are ``[K, V] float32``.
        ``checkpoint`` is called before every forward pass and may raise to stop: what was run by then is kept.
        ``aside`` is for a second prompt: it is run in the last slot, so that the first slot keeps the other one.
        """
        assert list(rows) == sorted(set(rows)), "rows must ascend"
        assert len(ids) <= self.capacity, "the sequence is longer than the cache"
        found = {row: logits for row in rows if (logits := self._rows.get(ids[: row + 1].tobytes())) is not None}
        missing = [row for row in rows if row not in found]
        if not missing:
            return stacked([found[row] for row in rows]), len(ids)
        # A row is computed by a pass over its token. So the first token whose row is missing is run again, even if it
        # is cached.
        slot = self._session.slots - 1 if aside else 0
        start = reused = min(self._continue_best(ids, missing[0], slot), missing[0])
        while start <= missing[-1]:
            checkpoint()
            end = min(start + self._pace.chunk, missing[-1] + 1)
            wanted = [row for row in missing if start <= row < end]
            logits = self._run(slot, ids, start, end, wanted)
            if len(wanted) == len(rows):
                return logits, reused
            found.update(zip(wanted, logits, strict=True))
            start = end
        return stacked([found[row] for row in rows]), reused

    def row_after(self, ids: IdArray, checkpoint: Callable[[], None]) -> FloatArray:
        """The logits after the last token of ``ids`` (``[S] int32``, S >= 1), ``[V] float32``; else as `prefill`."""
        row: FloatArray = self.prefill(ids, (len(ids) - 1,), checkpoint)[0][0]
        return row

    def remembers(self, ids: IdArray) -> bool:
        """Whether the row after ``ids``, ``[S] int32``, is known, so that `row_after` takes no pass."""
        return ids.tobytes() in self._rows

    def row_ahead(self, ids: IdArray, draft: IdArray, checkpoint: Callable[[], None]) -> tuple[FloatArray, int]:
        """What `row_after` returns, and how many tokens were run for it.

        If only the last token of ``ids`` has to be run, the tokens of ``draft``, ``[D] int32``, are run in the same
        pass. The rows after them are remembered until the next draft.
        """
        last = len(ids) - 1
        assert len(ids) + len(draft) <= self.capacity, "the sequence is longer than the cache"
        if not len(draft) or self._rows.get(ids.tobytes()) is not None or self._continue_best(ids, last, 0) < last:
            rows, reused = self.prefill(ids, (last,), checkpoint)
            return rows[0], len(ids) - reused
        checkpoint()
        sequence = np.concatenate([ids, draft])
        logits = self._pass(0, sequence, last, len(sequence), list(range(last, len(sequence))))
        self._rows.put_drafted({sequence[: last + 2 + n].tobytes(): row for n, row in enumerate(logits[1:])})
        return self._rows.put(ids.tobytes(), own_copy(logits[0])), 1 + len(draft)

    def rows_after(
        self, sequences: Sequence[IdArray], checkpoint: Callable[[], None], *, aside: bool = False
    ) -> list[FloatArray]:
        """What `row_after` returns for each of ``sequences``, in their order.

        Rows that are not remembered are computed in one batch, as far as the session has slots. That is one pass if the
        sequences differ from earlier ones only in their last token. ``aside`` is that of `prefill`.
        """
        keys = [ids.tobytes() for ids in sequences]
        rows = {key: row for key in keys if (row := self._rows.get(key)) is not None}
        # In sorted order, sequences with the same beginning are neighbours, so they share a batch or at least the
        # cached beginning.
        missing = sorted(set(keys) - rows.keys())
        for start in range(0, len(missing), self._session.slots):
            group = missing[start : start + self._session.slots]
            first = self._session.slots - len(group) if aside else 0
            rows.update(self._run_together([np.frombuffer(key, np.int32) for key in group], checkpoint, first))
        return [rows[key] for key in keys]

    def remember_total(self, ids: IdArray, compute: Callable[[], float]) -> float:
        """What ``compute`` returns for the row after ``ids``, remembered like the row. It must return the same for
        equal rows.
        """
        return self._rows.total(ids.tobytes(), compute)

    @contextmanager
    def _as_large(self) -> Iterator[None]:
        """For calls that may run out of memory. The session may then have smaller buffers, which are empty."""
        capacity = self.capacity
        try:
            yield
        except DeviceError:
            if self.capacity < capacity:
                self._lengths[:] = 0
                self.places.forget()
            raise

    def _run_together(
        self, sequences: Sequence[IdArray], checkpoint: Callable[[], None], first: int
    ) -> dict[bytes, FloatArray]:
        """The rows after the last tokens of different ``sequences``, run in the slots from ``first`` on."""
        if len(sequences) == 1:
            ids = sequences[0]
            return {ids.tobytes(): self.prefill(ids, (len(ids) - 1,), checkpoint, aside=first > 0)[0][0]}
        slots = range(first, first + len(sequences))
        sequences = self._arrange(sequences, slots)
        starts = [len(ids) - 1 for ids in sequences]
        for slot, ids, last in zip(slots, sequences, starts, strict=True):
            for start in range(self._lengths[slot], last, self._pace.chunk):
                checkpoint()
                self._run(slot, ids, start, min(start + self._pace.chunk, last), [])
        checkpoint()
        self._lengths[slots.start : slots.stop] = starts
        with self._as_large():
            logits = self._session.step(np.array([ids[-1] for ids in sequences], np.int32), starts, first)
        for slot, ids, last in zip(slots, sequences, starts, strict=True):
            self._written[slot, last] = ids[last]
            self._lengths[slot] = last + 1
        rows = self._mixed(sequences, logits)
        return {(key := ids.tobytes()): self._rows.put(key, row) for ids, row in zip(sequences, rows, strict=True)}

    def _arrange(self, sequences: Sequence[IdArray], slots: range) -> list[IdArray]:
        """Move the cached part of each sequence to one of ``slots``; return the sequences in the order of their slots.

        If a slot holds the beginning of several sequences, it keeps one of them. The others are copied from it before
        anything is overwritten, and only where they differ from what their own slot holds.
        """
        common = [np.minimum(self._common(ids), len(ids) - 1) for ids in sequences]  # each [slots]
        sources = [int(np.argmax(lengths)) for lengths in common]
        places: dict[int, int] = {}
        for index, source in enumerate(sources):
            if source in slots:
                places.setdefault(source, index)
        # No sequence has its source in the remaining slots, so copying into them loses nothing.
        left = [index for index in range(len(sequences)) if places.get(sources[index]) != index]
        places.update(zip((slot for slot in slots if slot not in places), left, strict=True))
        for slot, index in places.items():
            held, best = int(common[index][slot]), int(max(common[index]))
            self._copy(sources[index], slot, sequences[index], held, best)
            self._lengths[slot] = best  # what follows belongs to another sequence
        return [sequences[places[slot]] for slot in slots]

    def _continue_best(self, ids: IdArray, wanted: int, slot: int) -> int:
        """How many leading tokens of ``ids`` are in ``slot``. If another slot or a place holds more, it is copied
        first.

        More than ``wanted`` are not needed.
        """
        written = self._written[slot, : self._lengths[slot]]
        held = common_length(written, ids)
        with self._as_large():
            self.places.leave(slot, written, held)
        if held >= wanted:
            return held
        if np.count_nonzero(self._lengths) > int(self._lengths[slot] > 0):
            common = np.minimum(self._common(ids), wanted)
            best = int(max(common))
            self._copy(int(np.argmax(common)), slot, ids, held, best)
            held = best
        return self._bring(slot, ids, held, wanted)

    def _bring(self, slot: int, ids: IdArray, held: int, wanted: int) -> int:
        """Call `Places.bring`, and record what the slot holds then."""
        self._lengths[slot] = min(self._lengths[slot], held)
        with self._as_large():
            end = self.places.bring(slot, ids, held, wanted)
        if end > held:
            self._written[slot, held:end] = ids[held:end]
            self._lengths[slot] = end
        return end

    def _common(self, ids: IdArray) -> NDArray[np.intp]:
        """How many leading tokens of ``ids`` are in each slot, ``[slots]``."""
        different = self._written[:, : len(ids)] != ids
        first = np.where(different.any(axis=1), different.argmax(axis=1), len(ids))
        return np.minimum(first, self._lengths)

    def _copy(self, source: int, target: int, ids: IdArray, start: int, end: int) -> None:
        """Copy the tokens ``start`` to ``end`` of ``ids`` from slot to slot. Both hold the tokens before."""
        if start == end:
            return
        self._lengths[target] = start
        with self._as_large():
            self._session.copy(source, target, start, end)
        self._written[target, start:end] = ids[start:end]
        self._lengths[target] = end

    def _run(self, slot: int, ids: IdArray, start: int, end: int, rows: list[int]) -> FloatArray:
        """A `_pass` of a prefill: its time is measured, and its rows are remembered."""
        began = self._clock()
        try:
            logits = self._pass(slot, ids, start, end, rows)
        except Cancelled:
            self._pace.learn_of_broken(end - start, self._clock() - began)
            raise
        self._pace.learn(end - start, self._clock() - began)
        self.places.price(self._pace.tokens_per_s)
        for row, values in zip(rows, logits, strict=True):
            self._rows.put(ids[: row + 1].tobytes(), values)
        return logits

    def _pass(self, slot: int, ids: IdArray, start: int, end: int, rows: list[int]) -> FloatArray:
        """A forward pass over the tokens ``start`` to ``end``; the logits after the tokens at ``rows``, ``[K, V]``."""
        # Shortened first, because a pass that fails half-way has overwritten some positions.
        self._lengths[slot] = start
        with self._as_large():
            logits = self._session.forward(ids[start:end], start, [row - start for row in rows], slot)
        self._written[slot, start:end] = ids[start:end]
        self._lengths[slot] = end
        return self._mixed([ids[: row + 1] for row in rows], logits)

    def _mixed(self, sequences: Sequence[IdArray], logits: FloatArray) -> FloatArray:
        """The session's ``logits``, ``[K, V]``, after each of ``sequences``, mixed with copies; read-only."""
        if self._copier is not None and len(logits):
            logits = stacked(
                [
                    self._copier.mixed(ids, row, self._source, self._typed)
                    for ids, row in zip(sequences, logits, strict=True)
                ]
            )
        logits.flags.writeable = False
        return logits
