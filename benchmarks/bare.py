"""The peer: the same graph, run as any program would run it, without Midtoken.

It needs only numpy, onnxruntime and tokenizers, not the engine or the server, so it can be started as a program of its
own: ``python bare.py MODEL_FOLDER STEPS`` reads a text from standard input, decodes STEPS tokens greedily and prints
the peak of its resident memory in bytes.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # as in `engine.runtime.ort`, which would import the whole engine

import onnxruntime as ort

_TYPES = {"float32": np.float32, "float16": np.float16}


def open_session(folder: Path, manifest: dict[str, Any], providers: list[str]) -> Any:
    """The graph with the options that Midtoken uses, so that both run the same kernels on the same threads."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(folder / manifest["model_file"]), options, providers=providers)


class BareLoop:
    """The usual loop around ``session.run``: past tensors in, present tensors out, as arrays.

    ``manifest`` is the decoded ``midtoken.json``, for the names and shapes.
    """

    def __init__(self, session: Any, manifest: dict[str, Any]) -> None:
        self._session = session
        self._names = manifest["graph"]
        layout = manifest["key_value"]
        layers = range(layout["layers"])
        self._past = [self._names[kind].format(i) for i in layers for kind in ("past_key", "past_value")]
        self._present = [self._names[kind].format(i) for i in layers for kind in ("present_key", "present_value")]
        shape = (1, layout["heads"], 0, layout["head_size"])
        self.length = 0
        self.cache: list[NDArray[Any]] = [np.zeros(shape, _TYPES[layout["dtype"]]) for _ in self._past]

    def forward(self, ids: list[int]) -> NDArray[Any]:
        """Add tokens; return the last row of logits, ``[V]``."""
        outputs = self._session.run(
            [self._names["logits"], *self._present],
            {**inputs(self._names, ids, self.length), **dict(zip(self._past, self.cache, strict=True))},
        )
        self.cache = outputs[1:]
        self.length += len(ids)
        row: NDArray[Any] = outputs[0][0, -1]
        return row


class BareBinding:
    """The fastest way that onnxruntime offers: key/value buffers of full length, bound once as past and present."""

    def __init__(self, session: Any, manifest: dict[str, Any], length: int, device: str) -> None:
        self._session = session
        self._names = manifest["graph"]
        layout = manifest["key_value"]
        shape = (1, layout["heads"], length, layout["head_size"])
        self._binding = session.io_binding()
        self._buffers = []
        self.length = 0
        for layer in range(layout["layers"]):
            for kind in ("key", "value"):
                buffer = ort.OrtValue.ortvalue_from_shape_and_type(shape, _TYPES[layout["dtype"]], device, 0)
                self._binding.bind_ortvalue_input(self._names[f"past_{kind}"].format(layer), buffer)
                self._binding.bind_ortvalue_output(self._names[f"present_{kind}"].format(layer), buffer)
                self._buffers.append(buffer)

    def forward(self, ids: list[int]) -> NDArray[Any]:
        """Add tokens; return the last row of logits, ``[V]``."""
        for name, value in inputs(self._names, ids, self.length).items():
            self._binding.bind_cpu_input(name, value)
        self._binding.bind_output(self._names["logits"], "cpu")
        self._session.run_with_iobinding(self._binding)
        self.length += len(ids)
        row: NDArray[Any] = self._binding.get_outputs()[0].numpy()[0, -1]
        return row


def inputs(names: dict[str, Any], ids: list[int], start: int) -> dict[str, NDArray[np.int64]]:
    """Every input of the graph except the key/value tensors, for ``ids`` at positions ``start``, ``start + 1``, ..."""
    end = start + len(ids)
    values = {
        names["input_ids"]: np.array([ids], np.int64),
        names["attention_mask"]: np.ones((1, end), np.int64),
    }
    if names["position_ids"] is not None:
        values[names["position_ids"]] = np.arange(start, end, dtype=np.int64)[None, :]
    if names["logits_positions"] is not None:
        values[names["logits_positions"]] = np.array([len(ids) - 1], np.int64)
    return values


def read_manifest(folder: Path) -> dict[str, Any]:
    """The decoded ``midtoken.json``."""
    manifest: dict[str, Any] = json.loads((folder / "midtoken.json").read_text(encoding="utf-8"))
    return manifest


def peak_memory_bytes() -> int:
    """Peak of the resident memory of this process; 0 if the system does not say."""
    try:
        # Not getrusage, because on Linux that also counts the memory of the parent before this program started.
        return peak_memory_of(Path("/proc/self/status"))
    except (OSError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_memory_of(status: Path) -> int:
    """The peak of the resident memory in Linux's status file of a process, in bytes. Raises OSError or IndexError."""
    return int(status.read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0]) * 1024


def main(folder: Path, steps: int) -> None:
    """Complete standard input with ``steps`` tokens."""
    from tokenizers import Tokenizer

    manifest = read_manifest(folder)
    tokenizer = Tokenizer.from_file(str(folder / manifest["tokenizer_file"]))
    loop = BareLoop(open_session(folder, manifest, ["CPUExecutionProvider"]), manifest)
    begin = manifest["control"]["begin"]
    text = sys.stdin.buffer.read().decode("utf-8")
    ids = ([] if begin is None else [begin]) + tokenizer.encode(text, add_special_tokens=False).ids
    ids = ids[-(manifest["context_length"] - steps) :]
    for _ in range(steps):
        ids = [int(np.argmax(loop.forward(ids)))]
    print(peak_memory_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
