"""Graphs in onnxruntime: where they run, how they are opened, and whether they agree with the manifest."""

import ctypes
import io
import sys
from collections.abc import Collection
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.config import DeviceChoice
from engine.errors import ContractError, DeviceMemoryError, ModelFolderError, reason_of
from engine.model_folder.foreign import GraphSignature, TensorType
from engine.model_folder.graph_file import check_graph_file
from engine.model_folder.manifest import Manifest
from engine.runtime.kv_buffers import layer_names
from engine.runtime.memory import ran_out
from engine.runtime.ort import ort

NO_CUDA_LIBRARIES = (
    "an NVIDIA device is here but onnxruntime could not start CUDA on it (pip install 'midtoken[cuda]' brings its "
    "libraries; the driver must know CUDA 13); running on the CPU"
)
SPIN_US = 20
"""Microseconds for which a thread of the model spins while it waits; docs/measurements/speed.md tells what else was
tried.
"""
_ONNX_TYPES = {"float32": "tensor(float)", "float16": "tensor(float16)"}


@dataclass(frozen=True, slots=True)
class Device:
    """Where a session runs: ``kind`` is ``cpu`` or ``cuda``; ``notice`` is one line for the user, or empty. With
    ``captures`` the decode step is recorded as a CUDA graph (`engine.runtime.captured_step`). ``own_memory`` says that
    keys and values lie in memory of the device (`engine.runtime.kv_memory.DeviceMemory`).
    """

    kind: str
    notice: str = ""
    captures: bool = False
    own_memory: bool = False


def cuda_device_count() -> int:
    """Number of NVIDIA devices that the driver shows; 0 without a driver. Loads only the driver library, not the
    toolkit.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:  # no driver is installed
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def choose_device(choice: DeviceChoice) -> Device:
    """Decide what ``auto`` means. If ``cuda`` or ``cuda-graph`` is impossible, the CPU is used, and the notice says
    why.
    """
    if choice == "cpu":
        return Device("cpu")
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        reason = "the installed onnxruntime has no CUDA provider (install onnxruntime-gpu)"
    elif cuda_device_count() == 0:
        reason = "no NVIDIA device is visible"
    else:
        return Device("cuda", captures=choice == "cuda-graph", own_memory=True)
    return Device("cpu", "" if choice == "auto" else f"CUDA was asked for but {reason}; running on the CPU")


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


def open_graph(
    path: Path, device: DeviceChoice = "auto", threads: int | None = None, *, hashed: Collection[Path] = ()
) -> Graph:
    """Load a graph on a device. Libraries of custom operators are never loaded, and weights are read only from the
    folder of the graph. ``hashed`` are the files whose hashes were compared.

    Raises `ModelFolderError` if `check_graph_file` or onnxruntime refuses the graph, `DeviceMemoryError` if the
    weights do not fit.
    """
    check_graph_file(path, hashed)
    chosen = choose_device(device)
    if chosen.kind == "cuda":
        _load_cuda_libraries()
    try:
        session = ort.InferenceSession(str(path), _options(threads), providers=_providers(chosen))
    except Exception as error:  # onnxruntime raises plain RuntimeErrors and types of its own
        if ran_out(error):
            raise DeviceMemoryError(f"no memory for the weights of {path}; use a smaller model") from error
        if not chosen.captures:
            raise ModelFolderError(_refusal(path, error)) from error
        plain = open_graph(path, "cuda", threads, hashed=hashed)
        notice = f"the decode step of {path} cannot be a CUDA graph ({reason_of(error)}); running without"
        return replace(plain, device=replace(plain.device, notice=plain.device.notice or notice))
    if chosen.kind == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
        chosen = Device("cpu", NO_CUDA_LIBRARIES)
    return Graph(session, chosen)


def _load_cuda_libraries() -> None:
    """Load CUDA and cuDNN as pip installs them, because no loader finds them by itself. If one is missing, starting a
    session fails.
    """
    # The function prints what it does not find, but standard output belongs to the language server's client.
    with redirect_stdout(io.StringIO()), suppress(Exception):
        ort.preload_dlls()


def _refusal(path: Path, error: Exception) -> str:
    reason = str(error)
    if "External initializer" in reason and "out of bounds" in reason:
        return f"{path} has only a part of its weights beside it; copy the whole folder"
    if "is not a registered function/op" in reason:
        return f"{path} needs custom operators ({reason_of(error)}), and Midtoken loads no code of a model folder"
    return f"onnxruntime refuses {path} ({reason_of(error)}); export the model again"


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


def _options(threads: int | None) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised as well, and reported in one line
    # The next level changes layouts for convolutions, which language models do not have, so it gains nothing. And
    # onnxruntime 1.31 crashes in it on float16 graphs of CodeGen and Phi, which the CPU opens if there is no GPU.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    if threads is not None:
        options.intra_op_num_threads = threads
    # Without VNNI, sums of products of unsigned with signed bytes overflow in onnxruntime. This makes them exact.
    options.add_session_config_entry("session.x64quantprecision", "1")
    # A thread that spins between two operators continues at once, which gives a quarter more tokens a second on an idle
    # machine. The next operator comes within microseconds. The default spins for milliseconds, and on a busy machine
    # that takes the core from the very thread that is waited for. onnxruntime before 1.26 has no option for how long to
    # spin; there, spinning at least ends with the run.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(SPIN_US))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _providers(device: Device) -> list[str | tuple[str, dict[str, str]]]:
    if device.kind == "cpu":
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"enable_cuda_graph": "1"} if device.captures else {}), "CPUExecutionProvider"]
