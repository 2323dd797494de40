"""What turns a found model into a model folder: `onnx_export`. It is imported when it is needed: that takes time, and
torch is for those who installed it.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, Protocol, get_args

from engine import ExportError

OnePrecision = Literal["keep", "fp32", "fp16", "int8", "int4", "w8a8"]
SecondGraph = Literal["keep+w8a8", "int4+w8a8"]
Precision = OnePrecision | SecondGraph
"""With ``+w8a8``, a second graph reads where many tokens are read at once."""
PRECISIONS: tuple[Precision, ...] = (*get_args(OnePrecision), *get_args(SecondGraph))
Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and what is being done."""
IsCancelled = Callable[[], bool]

# The parts of the extra 'export' that may be missing; a missing module of any other name is a bug.
EXTRA = ("torch", "transformers", "onnx", "onnxruntime_genai", "onnx_ir", "onnxscript", "safetensors", "matplotlib")


class GgufDescription(Protocol):
    """`onnx_export.convert.Description`."""

    @property
    def architecture(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    @property
    def quantization(self) -> str: ...
    @property
    def context(self) -> int: ...
    @property
    def fim(self) -> bool: ...
    @property
    def licence(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def converted_bytes(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def warning(self) -> str: ...


class Converter(Protocol):
    """Reads headers and converts."""

    def describe_gguf(self, path: Path) -> GgufDescription:
        """What a file is, from its header. Never raises for what is wrong with it."""

    def describe_checkpoint(self, folder: Path) -> tuple[int, str]:
        """The number of weights, and why the folder cannot be converted, empty if it can."""

    def needs_torch(self, folder: Path) -> bool:
        """Whether converting the checkpoint takes torch; true where it cannot be converted."""

    def convert_gguf(
        self, source: Path, out: Path, precision: Precision, progress: Progress, cancelled: IsCancelled
    ) -> None:
        """Write the model folder ``out``. Raises `ExportError`, `Cancelled`."""

    def convert_checkpoint(self, source: Path, out: Path, precision: Precision, progress: Progress) -> None:
        """Write the model folder ``out``. Raises `ExportError`."""


class InstalledConverter:
    """`onnx_export` as it is installed."""

    def describe_gguf(self, path: Path) -> GgufDescription:
        from onnx_export.convert import describe

        return describe(path)

    def describe_checkpoint(self, folder: Path) -> tuple[int, str]:
        from onnx_export.checkpoint import count_weights

        try:
            return count_weights(folder), ""
        except ExportError as error:
            return 0, str(error)

    def needs_torch(self, folder: Path) -> bool:
        from onnx_export.checkpoint import needs_torch

        try:
            return needs_torch(folder)
        except ExportError:
            return True

    def convert_gguf(
        self, source: Path, out: Path, precision: Precision, progress: Progress, cancelled: IsCancelled
    ) -> None:
        from onnx_export.convert import convert, split_precision

        first, reading = split_precision(precision)
        convert(source, out, precision=first, reading=reading, progress=progress, cancelled=cancelled)

    def convert_checkpoint(self, source: Path, out: Path, precision: Precision, progress: Progress) -> None:
        if precision == "keep+w8a8" or precision == "int4+w8a8":
            raise ExportError(f"{precision} is for GGUF files; name another precision for a checkpoint")
        chosen = "int4" if precision == "keep" else precision
        with missing_extras_named():
            from onnx_export.export import export_checkpoint

            export_checkpoint(
                source, out, precision=chosen, progress=lambda done, total: progress(done / total, "checkpoint")
            )


@contextlib.contextmanager
def missing_extras_named() -> Iterator[None]:
    """Raises `ExportError` that names the package of the extra that is missing, in place of `ModuleNotFoundError`."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRA:
            raise
        raise ExportError(f"exporting needs {module}; install it with: pip install 'midtoken[export]'") from error
