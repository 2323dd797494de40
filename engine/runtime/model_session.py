"""What the decode loop and the caches need of a model's session, as protocols. `engine.runtime.session.OrtSession` has
all of it; the tests have sessions made of counts.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from engine.types import FloatArray, IdArray


class ModelSession(Protocol):
    """What the decode loop needs of a model. `OrtSession` runs a graph; the tests have a session made of counts."""

    @property
    def context_length(self) -> int:
        """Positions that each slot holds."""

    @property
    def slots(self) -> int:
        """Sequences that are held at once; 1: no batches."""

    def forward(self, ids: IdArray, start: int, rows: Sequence[int], slot: int = 0) -> FloatArray:
        """Write ``ids`` at positions ``start``, ``start + 1``, ... of a slot and return some rows of logits.

        ``ids`` is ``[S] int32``, S >= 1. Positions before ``start`` must have been written by earlier calls and stay as
        they are; those after ``start + S`` are forgotten. ``rows`` are K indices into ``ids``, K may be 0. Returns
        ``[K, V] float32``, where V is the number of rows of the head. Raises `DeviceError` if the device fails or runs
        out of memory, `WeightsError` if a row of logits is not finite.
        """

    def step(self, tokens: IdArray, starts: Sequence[int], first: int = 0) -> FloatArray:
        """Write one token to each of B slots, ``first`` and those after it, in one pass; return the logits after each.

        ``tokens`` is ``[B] int32``, 1 <= B <= `slots`; ``starts`` are their positions. Otherwise as `forward` with one
        token; returns ``[B, V] float32``.
        """

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Copy the positions ``start`` to ``end`` of slot ``source`` to slot ``target``; raises as `forward`."""


@runtime_checkable
class InterruptibleSession(ModelSession, Protocol):
    """A session whose forward passes can be stopped."""

    def interruptible(self) -> Callable[[], None]:
        """A function that stops the running pass and all later ones, until this method is called again.

        It may be called on any thread. A stopped pass raises `engine.errors.Cancelled`, and the positions that it was
        writing are not valid.
        """


@runtime_checkable
class SavingSession(ModelSession, Protocol):
    """A session whose keys and values can be saved and restored."""

    @property
    def position_bytes(self) -> int:
        """Bytes that one position of a slot takes; 0 if nothing can be saved."""

    def save(self, slot: int, end: int) -> object:
        """A copy of the first ``end`` positions of a slot, in host memory."""

    def restore(self, saved: object, slot: int, start: int, end: int) -> None:
        """Copy the positions ``start`` to ``end`` of what was saved to a slot; raises as `ModelSession.forward`."""


@runtime_checkable
class SharingSession(ModelSession, Protocol):
    """A session whose weights can be shared by several sessions."""

    def sibling(self) -> ModelSession:
        """Another session over the same weights, with key/value buffers of its own.

        Raises `DeviceError` if they do not fit.
        """
