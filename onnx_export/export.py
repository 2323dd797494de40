"""From a checkpoint to a model folder: build the graph, change it, describe it, check it, and only then put it in
place.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.errors import ExportError, ModelFolderError
from engine.model_folder.fim_spellings import fim_templates, repository_tokens
from engine.model_folder.known_hashes import sha256_of
from engine.model_folder.manifest import (
    MANIFEST_NAME,
    GraphNames,
    KeyValueLayout,
    Manifest,
    Precision,
    dump_manifest,
)
from engine.model_folder.output_basis import OUTPUT_BASIS_FILE
from engine.runtime.graph import choose_device
from onnx_export.architectures import Builder, builder_of
from onnx_export.checkpoint import Checkpoint, read_checkpoint
from onnx_export.checkpoint_weights import written_parts
from onnx_export.graph_writer.build import write_graph
from onnx_export.graph_writer.rounding import Rounded
from onnx_export.output_basis import write_output_basis
from onnx_export.papers import add_notice, copy_papers
from onnx_export.placing import require_replaceable, swap, workspace
from onnx_export.quantize import Device, Plan, plan
from onnx_export.shapes import Shape, read_shape
from onnx_export.source_guard import unchanged
from onnx_export.weights import tensor_places

SINGLE_FILE_BYTES = 1 << 30  # a protobuf message cannot exceed 2 GiB
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
STEPS = 3  # the graph, the folder, the checks
Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """A progress function that shows nothing."""


def no_notice(line: str) -> None:
    """A notice function that prints nothing."""


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    precision: Precision = "int4",
    device: Device = "cpu",
    check: bool = True,
    output_basis: int = 0,
    progress: Progress = no_progress,
    notice: Callable[[str], None] = no_notice,
) -> Manifest:
    """Turn a Hugging Face checkpoint folder into the model folder `out` and return its manifest.

    The folder is built beside `out` and takes its place only when every check of `validate.py` has passed. Until then
    the old folder stays as it was. `check=False` leaves out the comparison with the checkpoint. `output_basis` is the
    number of columns to keep of the output embedding for basis-aware truncation, 0 for none. `progress` is called with
    the number of finished steps and of all steps, `notice` with lines for the user.

    Errors: ExportError for a checkpoint that cannot be exported, a precision without kernels, a missing package, a full
    disk, a checkpoint that changes while it is read, or a failed check, with its figure and bound.
    """
    chosen = plan(precision, device)
    with unchanged(checkpoint) as require_unchanged:
        source = read_checkpoint(checkpoint)
        require_replaceable(out)
        with workspace(out) as folder:
            progress(0, STEPS)
            shape = _build_graph(source, chosen, folder)
            progress(1, STEPS)
            shutil.copyfile(checkpoint / TOKENIZER_FILE, folder / TOKENIZER_FILE)
            copy_papers(checkpoint, folder)
            if output_basis:
                write_output_basis(checkpoint, folder, output_basis)
            manifest = _describe(source, chosen, shape, folder)
            add_notice(folder, manifest.name, f"written as an ONNX graph in {precision}", manifest.licence)
            (folder / MANIFEST_NAME).write_text(dump_manifest(manifest), encoding="utf-8")
            progress(2, STEPS)
            checked = check and _validate(source, chosen, manifest, folder)
            require_unchanged()
            swap(folder, out)
    progress(STEPS, STEPS)
    if check and not checked:
        notice("not compared with the checkpoint: that needs torch (pip install 'midtoken[export]')")
    _tell(manifest, chosen, notice, checked=checked)
    return manifest


def _build_graph(source: Checkpoint, chosen: Plan, folder: Path) -> Shape:
    """Write the graph and return the sizes of the model."""
    try:
        from onnx_export import surgery
        from onnx_export.quantize import quantise_embedding, quantise_products
    except ImportError as error:
        raise ExportError(f"{error.name} is missing; install Midtoken with its 'export' extra") from error

    tied = source.vocabulary.tied is True
    builder = builder_of(source.family, source.config, chosen.device)
    if builder == "writer":
        return _write_graph(source, chosen, folder, tied=tied)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        built = Path(scratch) / "built"
        _builder(builder)(source.folder, chosen, built, tied=tied)
        model = surgery.load_graph(built / MODEL_FILE)
    surgery.gather_logits(model)
    if chosen.layer_bits is None:
        surgery.share_transposed_embedding(model)
    else:
        if surgery.head_of(model).op_type != "MatMulNBits":
            model = quantise_products(model, chosen, surgery.head_of(model).name)
        if tied:
            surgery.share_quantised_embedding(model)
        else:
            quantise_embedding(model, surgery.embedding_of(model))
    surgery.float_logits(model)
    surgery.save_graph(model, folder / MODEL_FILE, SINGLE_FILE_BYTES)
    return read_shape(source.folder)


def _write_graph(source: Checkpoint, chosen: Plan, folder: Path, *, tied: bool) -> Shape:
    """Write the graph with our own writer, which needs neither torch nor transformers."""
    decoder, weights = written_parts(source.config, tensor_places(source.folder), tied=tied)
    assert chosen.precision in ("fp32", "int8", "int4"), "the CPU has no others"
    write_graph(decoder, Rounded(weights, chosen.precision), folder, lambda count: None)
    return Shape(len(decoder.layers), decoder.key_value_heads, decoder.head_size, decoder.context_length)


def _validate(source: Checkpoint, chosen: Plan, manifest: Manifest, folder: Path) -> bool:
    """Compare a finished folder with its checkpoint; False if torch is missing, which our writer does not need."""
    if find_spec_of("torch") is None or find_spec_of("transformers") is None:
        return False
    from onnx_export.validate import validate  # needs torch and a model in memory

    validate(source, chosen, manifest, folder)
    return True


def find_spec_of(name: str) -> Any:
    """The import spec of a package; None if it is not installed (or blocked from being imported)."""
    try:
        return find_spec(name)
    except ValueError:
        return None


def _builder(name: Builder) -> Callable[..., None]:
    if name == "genai":
        from onnx_export.genai_graph import build

        return build
    from onnx_export import torch_graph

    return torch_graph.build


def _describe(source: Checkpoint, chosen: Plan, shape: Shape, folder: Path) -> Manifest:
    try:
        fim = fim_templates(source.added, source.source.fim_orders)
    except ModelFolderError as error:
        raise ExportError(f"{source.folder}: {error}") from None
    files = [MODEL_FILE, TOKENIZER_FILE]
    files += [name for name in (f"{MODEL_FILE}.data", OUTPUT_BASIS_FILE) if (folder / name).exists()]
    return Manifest(
        name=source.source.name,
        architecture=source.family.architecture,
        precision=chosen.precision,
        context_length=shape.context_length,
        graph=GraphNames(),
        key_value=KeyValueLayout(
            layers=shape.layers,
            heads=shape.key_value_heads,
            head_size=shape.head_size,
            dtype=chosen.key_value_dtype,
            shared=True,
        ),
        control=source.control,
        vocabulary=source.vocabulary,
        files={name: sha256_of(folder / name) for name in files},
        fim=fim,
        repository=repository_tokens(source.added) if source.source.file_tokens else None,
        copying=source.source.copying,
        licence=source.source.licence,
        training_data=source.source.training_data,
    )


def _tell(manifest: Manifest, chosen: Plan, notice: Callable[[str], None], *, checked: bool) -> None:
    """Tell the user what is unusual about a finished folder."""
    if checked and chosen.device == "cuda" and choose_device("cuda").kind != "cuda":
        notice(
            "no NVIDIA device is here: all checks ran on the CPU's kernels in the same precision; what CUDA's kernels "
            "compute, and their speed, was not checked"
        )
    if manifest.fim is None:
        notice("the tokenizer has no tokens to fill in the middle: it completes from the text before the cursor alone")
    if manifest.vocabulary.untrained:
        notice(f"{len(manifest.vocabulary.untrained)} entries were never trained; midtoken inspect lists them")
    peak = peak_memory_bytes()
    if peak:
        notice(f"peak memory {peak / 2**20:,.0f} MiB")


def peak_memory_bytes() -> int:
    """The peak memory of this process, or of a builder that it has run; 0 if the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    used = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    # Linux counts in KiB, macOS in bytes.
    return max(used) * (1 if sys.platform == "darwin" else 1024)


def folder_bytes(folder: Path) -> int:
    """Size of a model folder in bytes."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def summary(manifest: Manifest, folder: Path) -> dict[str, Any]:
    """What the command line prints after an export."""
    return {
        "path": str(folder),
        "name": manifest.name,
        "architecture": manifest.architecture,
        "precision": manifest.precision,
        "context_length": manifest.context_length,
        "vocabulary": manifest.vocabulary.tokenizer,
        "untrained_entries": len(manifest.vocabulary.untrained),
        "fim": None if manifest.fim is None else manifest.fim.default,
        "bytes": folder_bytes(folder),
    }
