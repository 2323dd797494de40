"""The model as a function: new token ids in, rows of logits out.

The key/value buffers (`engine.runtime.kv_buffers`) live on the device and are both past and present of every call
(GroupQueryAttention writes the new positions into the buffer that it reads). Only the attention mask says how many of
their positions count. So to rewind, pass a smaller ``start``; nothing is copied. A session holds several sequences,
each in a *slot*, and can add a token to each of several slots in one pass.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.config import DeviceChoice
from engine.errors import Cancelled, DeviceError, DeviceMemoryError, WeightsError, reason_of
from engine.model_folder.manifest import Manifest
from engine.runtime.captured_step import CapturedStep, can_be_captured, ordinary_options
from engine.runtime.graph import Device, Graph, check_graph, open_graph
from engine.runtime.kv_buffers import BATCH_SLOTS, TYPES, SharedBuffers, slot_bytes
from engine.runtime.kv_memory import DeviceMemory, HostMemory
from engine.runtime.kv_tensors import SeparateTensors
from engine.runtime.memory import ran_out
from engine.runtime.ort import ort
from engine.runtime.reading_graph import ReadingGraph
from engine.types import FloatArray, IdArray

LEAST_CONTEXT = 256
"""A cache is never made smaller than this many tokens to fit into memory."""


class OrtSession:
    """A model folder's graph in onnxruntime, with its key/value buffers."""

    def __init__(
        self,
        session: Any,
        manifest: Manifest,
        context_length: int,
        device: Device,
        recordings: Iterator[int] | None = None,
        slots: int | None = None,
    ) -> None:
        """``recordings`` gives numbers to the steps that are recorded in ``session``; all its users share it.
        ``slots`` as for `over`.
        """
        self._reading: ReadingGraph | None = None
        self._session = session
        self._recordings = count(1) if recordings is None else recordings
        self._slots = slots_of(session, manifest, device, slots)
        # A recorded step is of one slot: with several, steps are passes over many of them.
        self._captures = device.captures and can_be_captured(manifest) and self._slots == 1
        self._captured: CapturedStep | None = None
        self._captures_some = device.captures
        self._options = self._new_options()
        # On a GPU, if no row is wanted, one is asked for, because empty tensors are a corner case of its kernels.
        self._takes_no_rows = device.kind == "cpu" and manifest.graph.logits_positions is not None
        self._manifest = manifest
        self._names = manifest.graph
        self._context_length = context_length
        self.device = device
        self._positions: NDArray[np.int64] = np.arange(context_length, dtype=np.int64)
        self._binding = session.io_binding()
        # Bound first, because outputs come back in the order in which they were bound. Binding a name again keeps its
        # place.
        self._binding.bind_output(manifest.graph.logits, "cpu")
        # Kept here because onnxruntime holds the bound memory only by address. None after a pass that ran out of
        # memory: the next pass allocates them again, for half as many tokens.
        self._buffers: SharedBuffers | SeparateTensors | None = self._new_buffers()

    @classmethod
    def load(
        cls,
        folder: Path,
        manifest: Manifest,
        *,
        device: DeviceChoice = "auto",
        threads: int | None = None,
        context_length: int | None = None,
    ) -> "OrtSession":
        """Open ``folder``'s graph on ``device`` and reserve buffers for ``context_length`` positions.

        Raises `ModelFolderError` if onnxruntime refuses the graph, `ContractError` if its inputs and outputs are
        not those of the manifest, `DeviceError` if the buffers do not fit.
        """
        hashed = [folder / name for name in manifest.files]
        graph = open_graph(folder / manifest.model_file, device, threads, hashed=hashed)
        return cls.over(graph, manifest, context_length)

    @classmethod
    def over(
        cls, graph: "Graph", manifest: Manifest, context_length: int | None = None, slots: int | None = None
    ) -> "OrtSession":
        """The session of a graph that is open already, with ``slots`` slots if it can have several (None: as many as
        are of use to one user). The errors are those of `load`.
        """
        check_graph(graph.session, manifest)
        length = min(manifest.context_length, context_length or manifest.context_length)
        return cls(graph.session, manifest, length, graph.device, slots=slots)

    @property
    def context_length(self) -> int:
        return self._context_length

    @property
    def slots(self) -> int:
        return self._slots

    def sibling(self) -> "OrtSession":
        """See `SharingSession.sibling`."""
        other = OrtSession(self._session, self._manifest, self._context_length, self.device, self._recordings)
        if self._reading is not None:
            other.read_with(self._reading.sibling())
        return other

    def read_with(self, reading: ReadingGraph | None) -> None:
        """From now on, leave the tokens before the first wanted row to ``reading``, if they are enough for it. They
        get keys and values of its precision.
        """
        assert reading is None or self._manifest.key_value.shared
        self._reading = reading

    @property
    def reading_rows(self) -> int | None:
        """From how many tokens on a second graph reads them; None: there is none."""
        return None if self._reading is None else self._reading.least_rows

    @property
    def provider(self) -> str:
        """The execution provider in use, as onnxruntime names it."""
        return str(self._session.get_providers()[0])

    def forward(self, ids: IdArray, start: int, rows: Sequence[int], slot: int = 0) -> FloatArray:
        """See `ModelSession.forward`."""
        assert len(ids) > 0, "a forward pass needs at least one token"
        if self._captures and len(ids) == 1 and slot == 0:
            return self._numbers(self._replay(int(ids[0]), start)[: len(rows)])
        alone = min(rows, default=len(ids))
        if self._reading is not None and alone >= self._reading.least_rows:
            self._read(self._reading, ids[:alone], start, slot)
            if alone == len(ids):
                return np.empty((0, self._manifest.vocabulary.head), np.float32)
            ids, start, rows = ids[alone:], start + alone, [row - alone for row in rows]
        if not rows and self._takes_no_rows:
            try:
                none: FloatArray = self._run(ids[None, :], np.array([start]), [], slot)[0]
                return none
            except DeviceMemoryError:
                raise
            except DeviceError:  # the head of an older export in floats; its pass is run again, once in a session
                self._takes_no_rows = False
        logits = self._run(ids[None, :], np.array([start]), list(rows or (0,)), slot)
        return logits[0, : len(rows)]

    def step(self, tokens: IdArray, starts: Sequence[int], first: int = 0) -> FloatArray:
        """See `ModelSession.step`."""
        return self._run(tokens[:, None], np.asarray(starts), [0], first)[:, 0]

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """See `ModelSession.copy`."""
        buffers = self._bound_buffers()
        try:
            buffers.copy(source, target, start, end)
        except DeviceError:
            raise
        except Exception as error:  # on a device it is a run of onnxruntime, which raises its own types
            raise self._failure(error, "keys and values could not be copied ({})") from error

    def interruptible(self) -> Callable[[], None]:
        """See `InterruptibleSession.interruptible`."""
        # New options for each caller, so that a late call does not stop a pass of the next caller.
        self._options = options = self._new_options()

        def interrupt() -> None:
            options.terminate = True

        return interrupt

    @property
    def position_bytes(self) -> int:
        """See `SavingSession.position_bytes`."""
        layout = self._manifest.key_value
        return slot_bytes(layout, 1) if layout.shared and not self.device.own_memory else 0

    def save(self, slot: int, end: int) -> object:
        """See `SavingSession.save`."""
        buffers = self._bound_buffers()
        assert isinstance(buffers, SharedBuffers)
        return buffers.save(slot, end)

    def restore(self, saved: object, slot: int, start: int, end: int) -> None:
        """See `SavingSession.restore`."""
        buffers = self._bound_buffers()
        assert isinstance(buffers, SharedBuffers)
        assert isinstance(saved, list)
        buffers.restore(saved, slot, start, end)

    def _new_options(self) -> Any:
        return ordinary_options() if self._captures_some else ort.RunOptions()

    def _run(self, ids: IdArray, starts: NDArray[np.int64], rows: list[int], first: int) -> FloatArray:
        """``ids`` ``[B, S]`` at positions ``starts`` ``[B]`` of the slots from ``first`` on; logits ``[B, K, V]``."""
        ends = starts + ids.shape[1]
        longest = int(ends.max())
        assert longest <= self._context_length, "the key/value buffers are full"
        binding, names = self._binding, self._names
        buffers = self._bind(binding, ids, ends, first)
        if names.position_ids is not None:
            binding.bind_cpu_input(names.position_ids, starts[:, None] + self._positions[: ids.shape[1]])
        if names.logits_positions is not None:
            binding.bind_cpu_input(names.logits_positions, np.asarray(rows, np.int64))
        binding.bind_output(names.logits, "cpu")
        self._pass(self._session, binding)
        outputs = binding.get_outputs()
        buffers.keep(outputs[1:], longest)
        logits: NDArray[Any] = outputs[0].numpy()
        if names.logits_positions is None:
            logits = logits[:, rows]
        return self._numbers(logits.astype(np.float32, copy=False))

    def _read(self, reading: ReadingGraph, ids: IdArray, start: int, slot: int) -> None:
        """``ids`` ``[S]`` through the second graph."""
        self._bind(reading.binding, ids[None, :], np.array([start + len(ids)]), slot)
        self._pass(reading.session, reading.binding)

    def _bind(self, binding: Any, ids: IdArray, ends: NDArray[np.int64], first: int) -> SharedBuffers | SeparateTensors:
        """Bind ``ids`` ``[B, S]``, their mask, and the buffers of the slots from ``first`` on, which are returned."""
        longest = int(ends.max())
        buffers = self._bound_buffers()
        buffers.bind(binding, first, len(ids), longest - ids.shape[1])
        binding.bind_cpu_input(self._names.input_ids, ids.astype(np.int64))
        # [B, longest]: the length of each sequence is the sum of its row; the longest one sets the width.
        mask = self._positions[:longest] < ends[:, None]
        binding.bind_cpu_input(self._names.attention_mask, mask.astype(np.int64))
        return buffers

    def _pass(self, session: Any, binding: Any) -> None:
        try:
            session.run_with_iobinding(binding, self._options)
        except Exception as error:
            if self._options.terminate:
                raise Cancelled("the completion was cancelled") from error
            raise self._failure(error) from error

    def _numbers(self, logits: FloatArray) -> FloatArray:
        """``logits``, ``[.., V]``, unchanged. Raises `WeightsError` if a row holds NaN or plus infinity, or only minus
        infinity.
        """
        # The maximum of a row with NaN is NaN. A model may give minus infinity to tokens that it never writes.
        if not logits.size or np.isfinite(logits[..., : self._manifest.vocabulary.tokenizer].max(axis=-1)).all():
            return logits
        raise WeightsError(
            f"{self._manifest.name} computes no numbers (NaN or infinite): its weights are damaged, or too large for"
            " their precision; copy or export the model again, or use another"
        )

    def _replay(self, token: int, start: int) -> FloatArray:
        """Run the recorded step. Its first runs record it."""
        buffers = self._bound_buffers()
        assert start < self._context_length, "the key/value buffers are full"
        assert isinstance(buffers, SharedBuffers)
        try:
            if self._captured is None:
                self._captured = CapturedStep(
                    self._session,
                    self._manifest,
                    buffers,
                    width=self._context_length,
                    kind=self.device.kind,
                    number=next(self._recordings),
                )
            return self._captured.run(token, start)
        except Exception as error:
            self._captures, self._captured = False, None
            raise self._failure(error, "the step failed as a CUDA graph ({}); it runs without from now on") from error

    def _bound_buffers(self) -> SharedBuffers | SeparateTensors:
        if self._buffers is None:
            self._buffers = self._new_buffers()
        return self._buffers

    def _new_buffers(self) -> SharedBuffers | SeparateTensors:
        names, layout = self._names, self._manifest.key_value
        if not layout.shared:
            return SeparateTensors(names, layout, self.device.kind)
        shape = (self._slots, layout.heads, self._context_length, layout.head_size)
        count, dtype = 2 * layout.layers, TYPES[layout.dtype]
        if self.device.own_memory:
            providers = self._session.get_providers()
            return SharedBuffers(names, layout, DeviceMemory(count, shape, dtype, self.device.kind, providers))
        return SharedBuffers(names, layout, HostMemory(count, shape, dtype))

    def _failure(self, error: Exception, message: str = "the model failed while running ({})") -> DeviceError:
        """The error of a pass. If it ran out of memory, the buffers are replaced by smaller ones."""
        reason, smaller = reason_of(error), self._context_length // 2
        if not ran_out(error) or smaller < LEAST_CONTEXT:
            return DeviceError(message.format(reason))
        self._buffers, self._captured, self._context_length = None, None, smaller
        return DeviceMemoryError(
            f"the device ran out of memory ({reason}); the context is {smaller} tokens from now on"
        )


def slots_of(session: Any, manifest: Manifest, device: Device, wanted: int | None) -> int:
    """Sequences that a session can hold at once: one, or ``wanted`` if buffers are shared and the graph takes batches.

    None stands for a single user: `BATCH_SLOTS`, and one on a device, where the memory of a slot is taken for good.
    """
    inputs = {value.name: value for value in session.get_inputs()}
    takes_batches = not isinstance(inputs[manifest.graph.input_ids].shape[0], int)
    if not (manifest.key_value.shared and takes_batches):
        return 1
    if wanted is None:
        return 1 if device.own_memory else BATCH_SLOTS
    return wanted
