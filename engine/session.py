"""The model as a function: new token ids in, rows of logits out. The only importer of onnxruntime.

The key/value buffers (`engine.kv_buffers`) live on the device and are both past and present of every call
(GroupQueryAttention writes the new positions into the buffer that it reads). How many of their positions count is said
by the attention mask alone, so rewinding is passing a smaller ``start``: nothing is copied. A session holds several
sequences, each in a *slot*, and adds a token to each of the first of them in one pass.
"""

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engine.config import DeviceChoice
from engine.errors import ContractError, DeviceError, ModelFolderError
from engine.foreign import GraphSignature, TensorType
from engine.kv_buffers import BATCH_SLOTS, SharedBuffers, layer_names
from engine.kv_tensors import SeparateTensors
from engine.manifest import Manifest
from engine.types import FloatArray, IdArray

LEAST_CONTEXT = 256
"""Tokens below which a cache is not made smaller to fit into memory."""
# What onnxruntime and CUDA say where memory runs out.
_OUT_OF_MEMORY = (
    "Failed to allocate memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "CUDA_ERROR_OUT_OF_MEMORY",
)
_ONNX_TYPES = {"float32": "tensor(float)", "float16": "tensor(float16)"}


class ModelSession(Protocol):
    """What the decode loop needs of a model; `OrtSession` runs a graph, the tests have a session of counts."""

    @property
    def context_length(self) -> int:
        """Positions that each slot holds."""

    @property
    def slots(self) -> int:
        """Sequences that are held at once; 1: no batches."""

    def forward(self, ids: IdArray, start: int, rows: Sequence[int], slot: int = 0) -> FloatArray:
        """Write ``ids`` at positions ``start``, ``start + 1``, ... of a slot and return some rows of logits.

        ``ids`` is ``[S] int32``, S >= 1. Positions before ``start`` must have been written by earlier calls and stay
        as they are; those after ``start + S`` are forgotten. ``rows`` are K indices into ``ids``, K may be 0. Returns
        ``[K, V] float32``, V the rows of the head. Raises `DeviceError` where the device fails or runs out of memory.
        """

    def step(self, tokens: IdArray, starts: Sequence[int], first: int = 0) -> FloatArray:
        """Write one token to each of B slots, ``first`` and those after it, in one pass; return the logits after each.

        ``tokens`` is ``[B] int32``, 1 <= B <= `slots`; ``starts`` are their positions. Otherwise as `forward` with one
        token; returns ``[B, V] float32``.
        """

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Copy the positions ``start`` to ``end`` of slot ``source`` to slot ``target``; raises as `forward`."""


@runtime_checkable
class SharingSession(ModelSession, Protocol):
    """A session whose weights can serve several sequences at once."""

    def sibling(self) -> ModelSession:
        """Another session over the same weights, with key/value buffers of its own.

        Raises `DeviceError` where they do not fit.
        """


@dataclass(frozen=True, slots=True)
class Device:
    """Where a session runs: ``kind`` is ``cpu`` or ``cuda``; ``notice`` is one line for the user, or empty."""

    kind: str
    notice: str = ""


def cuda_device_count() -> int:
    """Number of NVIDIA devices that the driver shows; 0 without a driver. Loads the driver library, no toolkit."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def choose_device(choice: DeviceChoice) -> Device:
    """Settle ``auto`` and an impossible ``cuda``: the CPU serves then, and the notice says why."""
    if choice == "cpu":
        return Device("cpu")
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        reason = "the installed onnxruntime has no CUDA provider (install onnxruntime-gpu)"
    elif cuda_device_count() == 0:
        reason = "no NVIDIA device is visible"
    else:
        return Device("cuda")
    return Device("cpu", f"CUDA was asked for but {reason}; running on the CPU" if choice == "cuda" else "")


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph in onnxruntime, and where it runs."""

    session: Any
    device: Device

    @property
    def signature(self) -> GraphSignature:
        """Its inputs and outputs."""
        inputs, outputs = (
            {value.name: TensorType(value.type, tuple(value.shape)) for value in values}
            for values in (self.session.get_inputs(), self.session.get_outputs())
        )
        return GraphSignature(inputs, outputs)


def open_graph(path: Path, device: DeviceChoice = "auto", threads: int | None = None) -> Graph:
    """Load a graph on a device. Libraries of custom operators are never loaded, and onnxruntime reads weights from the
    folder of the graph only.

    Raises `ModelFolderError` where onnxruntime refuses the graph.
    """
    chosen = choose_device(device)
    try:
        session = ort.InferenceSession(str(path), _options(threads), providers=_providers(chosen))
    except Exception as error:  # onnxruntime raises plain RuntimeErrors and types of its own
        raise ModelFolderError(_refusal(path, error)) from None
    if chosen.kind == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
        chosen = Device("cpu", "CUDA was found but onnxruntime could not start it; running on the CPU")
    return Graph(session, chosen)


def _refusal(path: Path, error: Exception) -> str:
    reason = str(error)
    if "External data path" in reason and ("escapes" in reason or "Absolute path" in reason):
        return f"{path} names weights outside its folder; do not use this folder"
    if "External data path does not exist" in reason:
        return f"{path} has its weights in a file that is not there; copy the whole folder"
    if "is not a registered function/op" in reason:
        return f"{path} needs custom operators ({_first_line(error)}), and Midtoken loads no code of a model folder"
    return f"onnxruntime refuses {path} ({_first_line(error)}); export the model again"


class OrtSession:
    """A model folder's graph in onnxruntime, with its key/value buffers."""

    def __init__(self, session: Any, manifest: Manifest, context_length: int, device: Device) -> None:
        self._session = session
        self._manifest = manifest
        self._names = manifest.graph
        self._context_length = context_length
        self.device = device
        self._slots = batch_slots(session, manifest, device)
        self._positions: NDArray[np.int64] = np.arange(context_length, dtype=np.int64)
        self._binding = session.io_binding()
        # First, for outputs come back in the order in which they were bound; binding a name again keeps its place.
        self._binding.bind_output(manifest.graph.logits, "cpu")
        # Kept, because onnxruntime holds the bound memory by address only. None after a pass for which there was no
        # memory: the next one makes them anew, for half as many tokens.
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

        Raises `ModelFolderError` where onnxruntime refuses the graph, `ContractError` where its inputs and outputs are
        not those of the manifest, `DeviceError` where the buffers do not fit.
        """
        return cls.over(open_graph(folder / manifest.model_file, device, threads), manifest, context_length)

    @classmethod
    def over(cls, graph: "Graph", manifest: Manifest, context_length: int | None = None) -> "OrtSession":
        """The session of a graph that is open already; the errors are those of `load`."""
        check_graph(graph.session, manifest)
        length = min(manifest.context_length, context_length or manifest.context_length)
        return cls(graph.session, manifest, length, graph.device)

    @property
    def context_length(self) -> int:
        return self._context_length

    @property
    def slots(self) -> int:
        return self._slots

    def sibling(self) -> "OrtSession":
        """See `SharingSession.sibling`."""
        return OrtSession(self._session, self._manifest, self._context_length, self.device)

    @property
    def provider(self) -> str:
        """The execution provider in use, as onnxruntime names it."""
        return str(self._session.get_providers()[0])

    def forward(self, ids: IdArray, start: int, rows: Sequence[int], slot: int = 0) -> FloatArray:
        """See `ModelSession.forward`."""
        assert len(ids) > 0, "a forward pass needs at least one token"
        # One row is asked for where none is wanted: empty tensors are a corner case of kernels.
        logits = self._run(ids[None, :], np.array([start]), list(rows or (0,)), slot)
        return logits[0, : len(rows)]

    def step(self, tokens: IdArray, starts: Sequence[int], first: int = 0) -> FloatArray:
        """See `ModelSession.step`."""
        return self._run(tokens[:, None], np.asarray(starts), [0], first)[:, 0]

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """See `ModelSession.copy`."""
        self._bound_buffers().copy(source, target, start, end)

    def _run(self, ids: IdArray, starts: NDArray[np.int64], rows: list[int], first: int) -> FloatArray:
        """``ids`` ``[B, S]`` at positions ``starts`` ``[B]`` of the slots from ``first`` on; logits ``[B, K, V]``."""
        ends = starts + ids.shape[1]
        longest = int(ends.max())
        assert longest <= self._context_length, "the key/value buffers are full"
        binding, names = self._binding, self._names
        buffers = self._bound_buffers()
        buffers.bind(binding, first, len(ids), longest - ids.shape[1])
        binding.bind_cpu_input(names.input_ids, ids.astype(np.int64))
        # [B, longest]: the length of each sequence is the sum of its row, for the longer ones of a batch set the width.
        binding.bind_cpu_input(names.attention_mask, (self._positions[:longest] < ends[:, None]).astype(np.int64))
        if names.position_ids is not None:
            binding.bind_cpu_input(names.position_ids, starts[:, None] + self._positions[: ids.shape[1]])
        if names.logits_positions is not None:
            binding.bind_cpu_input(names.logits_positions, np.asarray(rows, np.int64))
        binding.bind_output(names.logits, "cpu")
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise self._failure(error) from None
        outputs = binding.get_outputs()
        buffers.keep(outputs[1:], longest)
        logits: NDArray[Any] = outputs[0].numpy()
        if names.logits_positions is None:
            logits = logits[:, rows]
        return logits.astype(np.float32, copy=False)

    def _bound_buffers(self) -> SharedBuffers | SeparateTensors:
        if self._buffers is None:
            self._buffers = self._new_buffers()
        return self._buffers

    def _new_buffers(self) -> SharedBuffers | SeparateTensors:
        names, layout = self._names, self._manifest.key_value
        if not layout.shared:
            return SeparateTensors(names, layout, self.device.kind)
        return SharedBuffers(names, layout, self._context_length, self.device.kind, self._slots)

    def _failure(self, error: Exception) -> DeviceError:
        """The error of a pass. Where it ran out of memory, the buffers are given up for smaller ones."""
        reason, smaller = _first_line(error), self._context_length // 2
        if not any(words in str(error) for words in _OUT_OF_MEMORY) or smaller < LEAST_CONTEXT:
            return DeviceError(f"the model failed while running ({reason})")
        self._buffers, self._context_length = None, smaller
        return DeviceError(f"the device ran out of memory ({reason}); the context is {smaller} tokens from now on")


def check_graph(session: Any, manifest: Manifest) -> None:
    """Raise `ContractError` unless the graph has the inputs, outputs and sizes that the manifest states."""
    names, layout = manifest.graph, manifest.key_value
    inputs = {value.name: value for value in session.get_inputs()}
    outputs = {value.name: value for value in session.get_outputs()}
    wanted_inputs = [names.input_ids, names.attention_mask]
    wanted_inputs += [name for name in (names.position_ids, names.logits_positions) if name is not None]
    past, present = layer_names(names, layout)
    for kind, wanted, found in (("input", wanted_inputs + past, inputs), ("output", [names.logits, *present], outputs)):
        for name in wanted:
            _require(name in found, manifest, f"has no {kind} {name!r}, which the manifest names")
    extra = set(inputs) - {*wanted_inputs, *past}
    _require(not extra, manifest, f"needs an input {min(extra, default='')!r} that the manifest does not name")
    key = inputs[past[0]]
    for what, found_size, stated in (
        ("head rows", outputs[names.logits].shape[-1], manifest.vocabulary.head),
        ("key/value heads", key.shape[1], layout.heads),
        ("key/value head size", key.shape[3], layout.head_size),
    ):
        # A dimension that the graph leaves open is a name, not a number.
        agrees = not isinstance(found_size, int) or found_size == stated
        _require(agrees, manifest, f"has {found_size} as its {what}, the manifest says {stated}")
    wanted_type = _ONNX_TYPES[layout.dtype]
    _require(
        key.type == wanted_type, manifest, f"has a key/value cache of {key.type}, the manifest says {layout.dtype}"
    )


def _require(condition: bool, manifest: Manifest, disagreement: str) -> None:
    if not condition:
        raise ContractError(f"{manifest.model_file} {disagreement}; export the model again")


def batch_slots(session: Any, manifest: Manifest, device: Device) -> int:
    """Sequences that a session may hold at once: more than one where buffers are shared and the graph takes batches.

    A copy from slot to slot is numpy's, which reaches the memory of the CPU only.
    """
    inputs = {value.name: value for value in session.get_inputs()}
    takes_batches = not isinstance(inputs[manifest.graph.input_ids].shape[0], int)
    return BATCH_SLOTS if device.kind == "cpu" and manifest.key_value.shared and takes_batches else 1


def _options(threads: int | None) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    # A spinning thread pool keeps a core busy between keystrokes, and is slower on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _providers(device: Device) -> list[str]:
    return ["CUDAExecutionProvider", "CPUExecutionProvider"] if device.kind == "cuda" else ["CPUExecutionProvider"]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
