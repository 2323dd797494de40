"""A GGUF file as a decoder and its weights, checked against each other before any weight is read."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import ExportError
from onnx_export.gguf.architectures import ARCHITECTURES, Architecture, Sizes
from onnx_export.gguf.blocks import FORMS, floats, unpack
from onnx_export.gguf.header import GgufFile, TensorPlace
from onnx_export.graph_writer.decoder import Decoder, Layer, Rope, Yarn, rotary_order
from onnx_export.graph_writer.tensors import expected_tensors
from onnx_export.graph_writer.weights import Blocks, Floats, Form, Matrix

MOST_CONTEXT = 32768
"""Number of positions for which cosine and sine are stored by default; far more than a completion needs."""
MOST_LAYERS = 512
_ONE_FOR_ALL = ("attention.head_count", "attention.head_count_kv")
"""Numbers that some models give for each layer, as lists."""
_VISION, _DRAFTS = ("clip", "mmproj"), ("eagle", "eagle2", "eagle3", "medusa")
"""Architectures of files that belong to a model but are not models."""
_IGNORED = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")


@dataclass(frozen=True, slots=True)
class GgufModel:
    """A file that can be converted; implements `onnx_export.graph_writer.weights.Weights`."""

    file: GgufFile
    architecture: Architecture
    decoder: Decoder

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor, None if there is no such tensor."""
        place = self.file.tensors.get(name)
        return None if place is None else place.shape

    def matrix(self, name: str) -> Matrix:
        """A tensor of two axes, queries and keys in the order of halves. Errors: ExportError if it is missing."""
        place = self.file.tensors[name]
        data = self.file.blocks(place)
        order = self._order(name)
        form, kind = FORMS.get(place.type.name), place.type.name

        def read(start: int, stop: int) -> Blocks | Floats:
            rows = data[start:stop] if order is None else data[order[start:stop]]
            return floats(kind, rows) if form is None else unpack(kind, rows)

        return Matrix(place.shape[0], place.shape[1], form, read)

    def matrix_form(self, name: str) -> Form | None:
        """The form in which a matrix is kept, None for floats."""
        return FORMS.get(self.file.tensors[name].type.name)

    def is_coarse(self, name: str) -> bool:
        """Whether a matrix has a type that no graph can hold. Then even ``keep`` rounds it again."""
        return self.file.tensors[name].type.handling == "rounded"

    def vector(self, name: str) -> Floats:
        """A tensor of one axis, in the same order."""
        place = self.file.tensors[name]
        values = floats(place.type.name, self.file.blocks(place))[0]
        order = self._order(name)
        return values if order is None else values[order]

    def _order(self, name: str) -> NDArray[np.int64] | None:
        part = name.rsplit(".", 2)[-2]
        if not self.architecture.interleaved or part not in ("attn_q", "attn_k"):
            return None
        heads = self.decoder.heads if part == "attn_q" else self.decoder.key_value_heads
        rotated = self.decoder.layers[0].rope.size
        return halves_order(heads, self.decoder.head_size, rotated)


def halves_order(heads: int, size: int, rotated: int) -> NDArray[np.int64]:
    """The order that turns a matrix ``[heads * size, K]`` with neighbouring pairs into one with halves: of the first
    ``rotated`` rows of each head 0, 2, 4, ... and then 1, 3, 5, ...
    """
    one = np.arange(size)
    one[:rotated] = np.concatenate([np.arange(0, rotated, 2), np.arange(1, rotated, 2)])
    return (np.arange(heads)[:, None] * size + one).ravel()


def architecture_of(file: GgufFile) -> Architecture:
    """The table row of a file. Errors: ExportError, which says what the file is, if it cannot be converted."""
    name = str(file.fields.get("general.architecture", ""))[:60]
    kind = file.fields.get("general.type", "model")
    if kind == "mmproj" or name in _VISION:
        raise ExportError(f"{file.path} is the part of a model that sees images; give the file of the model itself")
    if name in _DRAFTS:
        raise ExportError(
            f"{file.path} is a draft for another model and completes nothing alone; give that model's file"
        )
    if kind != "model":
        raise ExportError(f"{file.path} is no model but {str(kind)[:40]!r}; give the file of the model itself")
    row = ARCHITECTURES.get(name)
    if row is None:
        known = ", ".join(ARCHITECTURES)
        raise ExportError(
            f"{file.path} is of the architecture {name!r}, which is not supported; supported are: {known}"
        )
    if not file.tensors:
        raise ExportError(f"{file.path} is a vocabulary without weights; give the file of the model")
    sizes = Sizes(name, file.fields)
    if sizes.number("expert_count"):
        raise ExportError(f"{file.path} is a mixture of experts, which is not supported; take a dense model")
    if sizes.number("nextn_predict_layers") or any(".nextn." in tensor for tensor in file.tensors):
        raise ExportError(
            f"{file.path} has layers that guess several tokens ahead (MTP), which are not supported; "
            "take a file without them"
        )
    return row


def read_model(file: GgufFile, context: int | None = None) -> GgufModel:
    """Read the model of a file, for at most ``context`` positions. Errors: ExportError, in one line."""
    row = architecture_of(file)
    try:
        decoder = decoder_of(row, file, context)
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise ExportError(f"{file.path} describes no model that can be computed ({error}); take another file") from None
    _check_tensors(file, decoder)
    return GgufModel(file, row, decoder)


def decoder_of(row: Architecture, file: GgufFile, context: int | None) -> Decoder:
    """The sizes of a file. Errors: ValueError with what is wrong, ExportError if its layers have several sizes."""
    sizes = Sizes(row.name, file.fields)
    listed = sorted(name for name in file.arrays if name.removeprefix(f"{row.name}.") in _ONE_FOR_ALL)
    if listed:
        raise ExportError(
            f"{file.path} has layers of different sizes ({listed[0]}), which is not supported; take another"
        )
    heads, layers = sizes.needed("attention.head_count"), sizes.needed("block_count")
    if layers > MOST_LAYERS:
        raise ValueError(f"{layers} layers")
    groups = (
        sizes.needed("attention.head_count_kv")
        if row.name + ".attention.head_count_kv" in (file.fields.keys() | file.arrays.keys())
        else heads
    )
    head_size = sizes.head_size
    if heads % groups or head_size % 8 or sizes.number("attention.value_length", head_size) != head_size:
        raise ValueError(f"{heads} heads of {head_size}, {groups} of keys and values: no kernel takes that")
    length = sizes.needed("context_length")
    rope, most = _rope(row, sizes, file, head_size)
    local = rope if row.local_base is None else Rope(row.local_base, rope.size)
    windows = [row.window(sizes, layer) for layer in range(layers)]
    norm = "attention.layer_norm_epsilon" if row.norm == "layer" else "attention.layer_norm_rms_epsilon"
    epsilon = float(sizes.number(norm, 1e-5) or 1e-5)
    if not 0 < epsilon < 1:
        raise ValueError(f"norms with {epsilon:g} added")
    return Decoder(
        width=sizes.needed("embedding_length"),
        heads=heads,
        key_value_heads=groups,
        head_size=head_size,
        context_length=min(length, most, context or MOST_CONTEXT),
        layers=tuple(Layer(rope if window is None else local, window) for window in windows),
        norm=row.norm,
        epsilon=epsilon,
        activation=row.activation,
        attention_scale=row.attention_scale(sizes),
        attention_cap=float(sizes.number("attn_logit_softcapping", 0.0) or 0.0),
        embedding_scale=row.embedding_scale(sizes),
        residual_scale=float(sizes.number("residual_scale", 1.0) or 1.0),
        logit_scale=1.0 / float(sizes.number("logit_scale", 1.0) or 1.0),
        logit_cap=float(sizes.number("final_logit_softcapping", 0.0) or 0.0),
        parallel=sizes.flag("use_parallel_residual"),
    )


def _rope(row: Architecture, sizes: Sizes, file: GgufFile, head_size: int) -> tuple[Rope, int]:
    """The positions, and the most of them."""
    base = float(sizes.number("rope.freq_base", 10000.0) or 10000.0)
    size = int(sizes.number("rope.dimension_count", head_size) or head_size)
    if not base > 1.0 or size % 2 or not 0 < size <= head_size:
        raise ValueError(f"rotary positions of base {base:g} over {size} of {head_size} values")
    rotary_order(head_size, size)
    kind = sizes.text("rope.scaling.type") or "none"
    factor = float(sizes.number("rope.scaling.factor") or sizes.number("rope.scale_linear") or 1.0)
    original = int(sizes.number("rope.scaling.original_context_length") or sizes.needed("context_length"))
    if factor < 1.0 or original < 1:
        raise ValueError(f"rotary positions stretched by {factor:g}")
    magnitude = float(sizes.number("rope.scaling.attn_factor", 1.0) or 1.0)
    if "rope_factors_short.weight" in file.tensors:
        # Beyond the original length other factors apply, and a graph cannot have both. So this length is the limit.
        factors = _factors(file, file.tensors["rope_factors_short.weight"], size)
        return Rope(base, size, factors=factors, magnitude=magnitude), original
    if kind == "yarn":
        magnitude *= 0.1 * math.log(factor) + 1.0
        return Rope(base, size, yarn=Yarn(factor, original), magnitude=magnitude), 1 << 31
    if kind not in ("none", "linear", "longrope"):
        raise ValueError(f"rotary positions of type {kind[:40]!r}")
    place = file.tensors.get("rope_freqs.weight")
    factors = () if place is None else _factors(file, place, size)
    return Rope(base, size, linear=factor, factors=factors), 1 << 31


def _factors(file: GgufFile, place: TensorPlace, size: int) -> tuple[float, ...]:
    values = floats("F32", file.blocks(place))[0] if place.type.name == "F32" and place.size == size // 2 else None
    if values is None or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"{place.name} is not {size // 2} factors")
    return tuple(values.tolist())


def _check_tensors(file: GgufFile, decoder: Decoder) -> None:
    """Errors: ExportError if a tensor is missing, has a wrong shape or an unsupported type, or is unknown. An unknown
    tensor means that the model computes something else.
    """
    expected = expected_tensors(decoder, {name: place.shape for name, place in file.tensors.items()})
    for name, shapes in expected.items():
        place = file.tensors.get(name)
        if place is None:
            if None not in shapes:
                raise ExportError(f"{file.path} has no tensor {name!r}; fetch the file again")
        elif place.shape not in shapes:
            raise ExportError(f"{file.path} has a tensor {name!r} of shape {place.shape}; fetch the file again")
        elif place.type.handling == "refused":
            raise ExportError(
                f"{file.path} stores {name!r} as {place.type.name}, which is not supported; "
                "take a file of Q4_K_M, Q5_K_M, Q6_K or Q8_0"
            )
    unknown = sorted(file.tensors.keys() - expected.keys() - set(_IGNORED))
    if unknown:
        raise ExportError(f"{file.path} has a tensor {unknown[0]!r}, with which this is another model than is known")
