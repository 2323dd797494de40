"""Turns a GGUF file into a model folder, without torch, and describes a file from its header.

Example::

    from onnx_export.convert import convert, describe
    print(describe(Path("model.gguf")))
    convert(Path("model.gguf"), Path("models/mine"), progress=lambda done, what: print(f"{done:.0%} {what}"))
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from engine.errors import Cancelled, ExportError
from engine.model_folder.known_hashes import sha256_of
from engine.model_folder.manifest import (
    MANIFEST_NAME,
    GraphNames,
    KeyValueLayout,
    Manifest,
    VocabularySizes,
    dump_manifest,
)
from engine.text.tokenizer import Tokenizer
from onnx_export.entry_counts import Cut
from onnx_export.gguf.card import model_card
from onnx_export.gguf.header import GgufFile, read_header
from onnx_export.gguf.model import GgufModel, read_model
from onnx_export.gguf.tokenizer import TokenizerOfFile, control_of, fim_of, read_entries, read_tokenizer, split_rule_of
from onnx_export.graph_writer.build import DATA_FILE, MODEL_FILE, READING_FILE, write_graph, write_trial
from onnx_export.graph_writer.decoder import Decoder
from onnx_export.graph_writer.graph import Columns
from onnx_export.graph_writer.rounding import OUTER, Rounded, Rounding, form_of
from onnx_export.graph_writer.untrained import untrained_of
from onnx_export.graph_writer.weights import Weights
from onnx_export.outliers import outlying_columns, pieces_of
from onnx_export.papers import CARD, add_notice, statement
from onnx_export.placing import require_replaceable, swap, workspace
from onnx_export.source_guard import unchanged
from onnx_export.vocabulary_cut import CutRows, cut_tokenizer, kept_entries

TOKENIZER_FILE = "tokenizer.json"
READING: Rounding = "w8a8"
"""The form of the weights of the second graph."""
STEPPING: tuple[Rounding, ...] = ("keep", "int4")
"""The forms beside which a second graph can stand: those that are best for single steps."""
SPARE_BYTES = 64 << 20
"""Free disk space that a conversion needs in addition to what it writes."""
Progress = Callable[[float, str], None]
IsCancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Description:
    """What a header says. ``parameters`` is the number of all weights, ``quantization`` the type of most of them,
    ``context`` the length that the model was made for, ``bytes`` the size of the file, ``converted_bytes`` about that
    of the folder. ``reason`` is empty if the file can be converted; otherwise it says in one line why not, and the
    other fields hold what could be read. ``warning`` is one line for the user, or empty.
    """

    name: str
    architecture: str
    parameters: int
    quantization: str
    context: int
    fim: bool
    licence: str
    bytes: int
    converted_bytes: int
    reason: str = ""
    warning: str = ""

    @property
    def usable(self) -> bool:
        """Whether `convert` accepts the file."""
        return not self.reason


def describe(path: Path) -> Description:
    """What a GGUF file is, from its header, in a fraction of a second. Problems of the file do not raise; see
    ``reason``.
    """
    try:
        file = read_header(path)
    except ExportError as error:
        size = path.stat().st_size if path.is_file() else 0
        return Description(
            path.stem, "", 0, "", 0, fim=False, licence="", bytes=size, converted_bytes=0, reason=str(error)
        )
    fim, reason, converted = False, "", 0
    try:
        entries = read_entries(file)
        fim = fim_of(file, entries.added) is not None
        if entries.kind == "gpt2":
            split_rule_of(file)
        model = read_model(file)
        control_of(file, entries)
        _require_rows(model, entries.count)
        converted = converted_bytes(model, "keep")
    except ExportError as error:
        reason = str(error)
    architecture = str(file.fields.get("general.architecture", ""))
    context = file.fields.get(f"{architecture}.context_length")
    return Description(
        name=name_of(file),
        architecture=architecture,
        parameters=sum(place.size for place in file.tensors.values()),
        quantization=quantization_of(file),
        context=context if isinstance(context, int) else 0,
        fim=fim,
        licence=licence_of(file),
        bytes=file.size,
        converted_bytes=converted,
        reason=reason,
        warning=warning_of(file),
    )


def convert(
    source: Path,
    out: Path,
    *,
    precision: Rounding = "keep",
    reading: bool = False,
    context: int | None = None,
    cut: Cut | None = None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Manifest:
    """Turn a GGUF file into the model folder ``out`` and return its manifest.

    The folder is built beside ``out`` and replaces it at the end. An old folder stays until then, and nothing is left
    if the conversion fails or is cancelled. ``precision`` ``keep`` keeps the file's own blocks; the others quantise
    again. ``reading`` adds a second graph for passes over many rows, which multiplies bytes with bytes. ``context``
    bounds the positions, ``cut`` the entries of the vocabulary. ``progress`` is called with the share that is done and
    the present step; ``cancelled`` is called several times a second.

    Errors: ExportError for a file that cannot be converted, a full disk, a file that changes while it is read;
    Cancelled once ``cancelled`` returns true.
    """
    progress, cancelled = progress or (lambda done, what: None), cancelled or (lambda: False)
    split_precision(precision)
    require_replaceable(out)
    progress(0.0, "header")
    with unchanged(source) as require_unchanged:
        model = read_model(read_header(source), context)
        tokenizer, weights = _entries(model, cut, progress)
        in_bytes = reading or precision == READING
        trial = converted_bytes(model, "keep") if in_bytes else 0
        _require_room(out, converted_bytes(model, precision, reading=reading) + trial)
        with workspace(out) as folder:
            tick = _Tick(model, progress, cancelled, times=1 + reading + in_bytes)
            apart = _outliers(model, weights, tokenizer, folder, tick) if in_bytes else None
            many_rows = Rounded(weights, READING, model.is_coarse) if reading else None
            write_graph(model.decoder, Rounded(weights, precision, model.is_coarse), folder, tick, many_rows, apart)
            (folder / TOKENIZER_FILE).write_text(tokenizer.text, encoding="utf-8")
            progress(0.95, "checksums")
            names = (MODEL_FILE, DATA_FILE, TOKENIZER_FILE, *([READING_FILE] if reading else []))
            files = {name: sha256_of(folder / name) for name in names}
            manifest = _manifest(model, tokenizer, weights, precision, files)
            (folder / MANIFEST_NAME).write_text(dump_manifest(manifest), encoding="utf-8")
            _write_papers(model.file, manifest, folder, cut)
            _stop_if(cancelled)
            require_unchanged()
            swap(folder, out)
    progress(1.0, "done")
    return manifest


def _entries(model: GgufModel, cut: Cut | None, progress: Progress) -> tuple[TokenizerOfFile, Weights]:
    """The tokenizer and the weights, with the entries that ``cut`` keeps. Raises `ExportError`."""
    tokenizer = read_tokenizer(model.file)
    _require_rows(model, tokenizer.entries)
    if cut is None:
        return tokenizer, model
    progress(0.0, "entries")
    kept = kept_entries(tokenizer, cut.scores(tokenizer.text), cut.entries)
    return cut_tokenizer(tokenizer, kept), CutRows(model, kept)


def _outliers(model: GgufModel, weights: Weights, tokenizer: TokenizerOfFile, folder: Path, tick: "_Tick") -> Columns:
    """Write the layers below ``folder``, let them read text, and delete them. See `outlying_columns`."""
    decoder, control, trial = model.decoder, tokenizer.control, folder / "trial"
    trial.mkdir()
    names = write_trial(decoder, Rounded(weights, "keep", model.is_coarse), trial, tick)
    start = control.begin if control.begin is not None else control.end[0]
    texts = pieces_of(Tokenizer(tokenizer.text), start, decoder.context_length)
    columns = outlying_columns(trial, names, texts, _layout(decoder), tick)
    shutil.rmtree(trial)
    return columns


def _layout(decoder: Decoder) -> KeyValueLayout:
    return KeyValueLayout(len(decoder.layers), decoder.key_value_heads, decoder.head_size)


def _require_rows(model: GgufModel, entries: int) -> None:
    rows = model.file.tensors["token_embd.weight"].shape[0]
    if entries > rows:
        raise ExportError(f"{model.file.path} has {entries} entries but {rows} rows of weights; fetch it again")


def _manifest(
    model: GgufModel, tokenizer: TokenizerOfFile, weights: Weights, precision: Rounding, files: Mapping[str, str]
) -> Manifest:
    """``files`` are the SHA-256 sums of the files of the folder, by name."""
    embedding = weights.shape("token_embd.weight")
    head = weights.shape("output.weight") or embedding
    assert embedding is not None
    assert head is not None
    decoder = model.decoder
    return Manifest(
        name=name_of(model.file),
        architecture=model.architecture.architecture,
        precision=precision,
        context_length=decoder.context_length,
        graph=GraphNames(),
        key_value=_layout(decoder),
        control=tokenizer.control,
        vocabulary=VocabularySizes(
            tokenizer=tokenizer.entries,
            embedding=embedding[0],
            head=head[0],
            tied=model.shape("output.weight") is None,
            untrained=untrained_of(weights.matrix("token_embd.weight"), tokenizer.entries),
        ),
        files=dict(files),
        reading_file=READING_FILE if READING_FILE in files else "",
        fim=tokenizer.fim,
        repository=tokenizer.repository,
        licence=licence_of(model.file),
    )


def _write_papers(file: GgufFile, manifest: Manifest, folder: Path, cut: Cut | None) -> None:
    """The card, and what of the source's licence and of the changes must be stated beside derived weights."""
    form = "with the blocks of the file" if manifest.precision == "keep" else f"in {manifest.precision}"
    graphs = " and a second one for reading" if manifest.reading_file else ""
    entries = "" if cut is None else f", {manifest.vocabulary.tokenizer} entries of the vocabulary kept"
    change = f"written as an ONNX graph {form}{graphs}{entries}"
    add_notice(folder, manifest.name, change, manifest.licence)
    says = statement(manifest.name, change, manifest.licence)
    (folder / CARD).write_text(model_card(file, manifest.name, change, says), encoding="utf-8")


def split_precision(asked: str) -> tuple[Rounding, bool]:
    """``int4+w8a8`` as the precision of the first graph, and whether there is a second. Raises `ExportError`."""
    first = asked.removesuffix(f"+{READING}")
    if first not in (get_args(Rounding) if first == asked else STEPPING):
        pairs = " or ".join(f"{narrow}+{READING}" for narrow in STEPPING)
        raise ExportError(f"a GGUF file converts to {', '.join(get_args(Rounding))}, {pairs}, not to {asked}")
    return cast("Rounding", first), first != asked


class _Tick:
    """Called as weights are written. Reports progress, and stops the conversion once it is cancelled."""

    def __init__(self, model: GgufModel, progress: Progress, cancelled: IsCancelled, times: int) -> None:
        """``times``: how often the weights are written."""
        self._total = times * sum(place.size for place in model.file.tensors.values())
        self._done = 0
        self._progress, self._cancelled = progress, cancelled

    def __call__(self, weights: int) -> None:
        _stop_if(self._cancelled)
        self._done += weights
        self._progress(min(0.9, 0.9 * self._done / self._total), "weights")


def _stop_if(cancelled: IsCancelled) -> None:
    if cancelled():
        raise Cancelled("the conversion was cancelled")


def name_of(file: GgufFile) -> str:
    """The model's name, or the file's name if it states none."""
    return str(file.fields.get("general.name") or file.path.stem)[:200]


def licence_of(file: GgufFile) -> str:
    """The licence that the file states, or nothing."""
    return str(file.fields.get("general.license") or file.fields.get("general.license.name") or "")[:200]


def quantization_of(file: GgufFile) -> str:
    """The type of most weights."""
    weights: dict[str, int] = {}
    for place in file.tensors.values():
        weights[place.type.name] = weights.get(place.type.name, 0) + place.size
    return max(weights, key=lambda name: weights[name], default="")


def warning_of(file: GgufFile) -> str:
    """A warning about a file before it is converted, or an empty text."""
    coarse = sorted({place.type.name for place in file.tensors.values() if place.type.handling == "rounded"})
    if not coarse:
        return ""
    return f"holds weights as {', '.join(coarse)}, which are quantised again: a file of Q4_K_M completes better"


def converted_bytes(model: GgufModel, precision: Rounding, *, reading: bool = False) -> int:
    """About how many bytes a conversion writes."""
    total = 0.0
    for place in model.file.tensors.values():
        total += place.size * _bits(model, place.name, precision) / 8
        if reading and place.name not in OUTER:
            total += place.size * _bits(model, place.name, READING) / 8
    rope = model.decoder.layers[0].rope.size
    return int(total) + model.decoder.context_length * rope * 4 * len({layer.rope for layer in model.decoder.layers})


def _bits(model: GgufModel, name: str, precision: Rounding) -> float:
    place = model.file.tensors[name]
    if len(place.shape) < 2:
        return 32.0
    form = form_of(precision, name, place.shape[1], model.matrix_form(name), coarse=model.is_coarse(name))
    if form is None:
        return 32.0
    return form.bits + 32 * form.scales(place.shape[1]) / place.shape[1] * (2 if form.offsets else 1)


def _require_room(out: Path, wanted: int) -> None:
    place = next(folder for folder in (out.parent, *out.parent.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free < wanted + SPARE_BYTES:
        raise ExportError(
            f"{place} has {free / 1e9:.1f} GB free, and the model takes {wanted / 1e9:.1f} GB; make room first"
        )
