"""Going back to places that were read before.

A slot holds one sequence. A user who switches files, jumps to another function or undoes a change often comes back to a
sequence that was read before; and where many users share a model, their documents take turns in its slots. So keys and
values are copied out before they are overwritten, and copied back instead of running a pass.
"""

from engine.runtime.model_session import ModelSession, SavingSession
from engine.runtime.place_store import Place, PlaceStore
from engine.types import IdArray

MOST_LEAST_TOKENS = 128
LEAST_TOKENS = 8
"""A place is worth a copy if reading its tokens again would take `WORTH_S`: the bounds of how many that is."""
MOST_PLACES = 12
"""Files that somebody goes back and forth between: more places of a quick model would only fill the memory."""
WORTH_S = 0.016
"""A copy takes a tenth of that, even of a long place."""


class Places:
    """The places of one session that were left last, in ``store``; nothing if the session cannot save.

    ``owner`` is whose text the session reads: nobody gets a place of somebody else.
    """

    def __init__(self, session: ModelSession, store: PlaceStore | None = None) -> None:
        """``store`` None: one of its own, which keeps nothing before the first `limit`."""
        saves = isinstance(session, SavingSession) and session.position_bytes > 0
        self._session = session if saves and isinstance(session, SavingSession) else None
        self._store = PlaceStore(most=MOST_PLACES) if store is None else store
        self._least = MOST_LEAST_TOKENS
        self.owner = ""

    def price(self, tokens_per_s: float) -> None:
        """The model reads so fast: that decides how few tokens are worth a copy."""
        self._least = int(min(MOST_LEAST_TOKENS, max(LEAST_TOKENS, WORTH_S * tokens_per_s)))

    def limit(self, limit_bytes: int) -> None:
        """Keep at most ``limit_bytes`` from now on."""
        self._store.limit(limit_bytes)

    @property
    def bytes(self) -> int:
        """The number of bytes that are kept now."""
        return self._store.bytes

    def leave(self, slot: int, held: IdArray, common: int) -> None:
        """Save a slot that holds ``held``, ``[S] int32``, and is about to lose everything after its first
        ``common`` tokens. Raises as `SavingSession.save`.
        """
        if self._session is None or len(held) - common < self._least:
            return
        size = len(held) * self._session.position_bytes
        if not self._store.make_room(self.owner, held, size, self._least):
            return
        place: Place | None = None
        try:
            place = Place(self.owner, held.copy(), self._session.save(slot, len(held)), size)
        except MemoryError:
            self._store.forget()
        finally:
            self._store.put(size, place)

    def known(self, ids: IdArray) -> int:
        """The largest number of leading tokens of ``ids`` that a place has."""
        return self._store.find(self.owner, ids)[1]

    def bring(self, slot: int, ids: IdArray, held: int, wanted: int) -> int:
        """Copy what a place has of the first ``wanted`` tokens of ``ids`` to ``slot``, which holds the first ``held``.

        Returns how many it holds then. A few more are not worth it. Raises as `SavingSession.restore`.
        """
        if self._session is None:
            return held
        place, length = self._store.find(self.owner, ids)
        end = min(length, wanted)
        if place is None or end - held < self._least:
            return held
        self._store.use(place)
        self._session.restore(place.saved, slot, held, end)
        return end

    def forget(self) -> None:
        """Forget all places."""
        self._store.forget()
