"""A checkpoint's config.json as a decoder for our own writer: which families it supports, and what their numbers mean.

It reads the file itself, without transformers. A missing number has the default of its family.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from engine.errors import ExportError
from onnx_export.graph_writer.decoder import Activation, Decoder, Layer, Norm, Rope, Yarn, rotary_order

MOST_CONTEXT = 32768
"""Number of positions for which cosine and sine are stored; far more than a completion needs."""
_ACTIVATIONS: Mapping[str, Activation] = {
    "silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu-tanh", "gelu_new": "gelu-tanh",
}  # fmt: skip
SLIDING, FULL = "sliding_attention", "full_attention"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a family's config.json does not say. ``head_size`` 0 means the width divided by the heads. With ``pattern``
    n, every n-th layer sees everything and the others a window; with 0, all layers are alike. ``scalar_scale`` says
    that attention is scaled by ``query_pre_attn_scalar``, ``above_one`` that norms are stored minus one,
    ``rotated`` which share of a head has positions.
    """

    norm: Norm = "rms"
    activation: Activation | None = None
    epsilon: float = 1e-6
    head_size: int = 0
    pattern: int = 0
    scalar_scale: bool = False
    above_one: bool = False
    local_base: float = 10000.0
    rotated: float = 1.0


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "llama": Kind(),
        "qwen2": Kind(),
        "qwen3": Kind(head_size=128),
        "mistral": Kind(),
        "granite": Kind(),
        "gemma": Kind(activation="gelu-tanh", head_size=256, above_one=True),
        "gemma2": Kind(activation="gelu-tanh", head_size=256, above_one=True, pattern=2, scalar_scale=True),
        "gemma3_text": Kind(activation="gelu-tanh", head_size=256, above_one=True, pattern=6, scalar_scale=True),
        "phi3": Kind(epsilon=1e-5),
        "starcoder2": Kind(norm="layer", epsilon=1e-5),
        "stablelm": Kind(norm="layer", epsilon=1e-5, rotated=0.25),
    }
)


class Config:
    """Numbers of a config.json. Errors: ExportError, naming the number."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        self.kind = KINDS[str(raw["model_type"])]

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number; a missing one, or null, is the default."""
        value = self.raw.get(name)
        return _number(default if value is None else value, name)

    def positive(self, name: str, default: float) -> float:
        """A finite number above 0."""
        value = self.number(name, default)
        if value <= 0:
            raise ExportError(f"config.json says {name} is {value:g}; it must be above 0")
        return value

    def count(self, name: str, default: int | None = None) -> int:
        """A whole number from 1 on."""
        value = self.number(name, default)
        if value != int(value) or value < 1:
            raise ExportError(f"config.json says {name} is {value!r}; it must be a whole number from 1 on")
        return int(value)

    @property
    def head_size(self) -> int:
        heads = self.count("num_attention_heads")
        return self.count("head_dim", self.kind.head_size or self.count("hidden_size") // heads)

    @property
    def layer_types(self) -> Sequence[str]:
        """`SLIDING` or `FULL`, one a layer."""
        layers, window = self.count("num_hidden_layers"), self.raw.get("sliding_window")
        if window is None or self.raw.get("use_sliding_window") is False:
            return [FULL] * layers
        stated = self.raw.get("layer_types")
        if isinstance(stated, list) and len(stated) == layers and set(stated) <= {SLIDING, FULL}:
            return stated
        if stated is not None:
            raise ExportError(f"config.json says layer_types is {str(stated)[:60]}; that is not understood")
        if self.kind.pattern:
            every = self.count("sliding_window_pattern", self.kind.pattern)
            return [SLIDING if (layer + 1) % every else FULL for layer in range(layers)]
        first = self.number("max_window_layers", 0) if "use_sliding_window" in self.raw else 0
        return [SLIDING if layer >= first else FULL for layer in range(layers)]


def decoder_of(raw: Mapping[str, Any]) -> Decoder:
    """The decoder of a config.json. Errors: ExportError for a family or a number that the writer does not know."""
    if str(raw.get("model_type")) not in KINDS:
        raise ExportError(f"models of type {raw.get('model_type')!r} need torch: pip install 'midtoken[export]'")
    config = Config(raw)
    kind, size, heads = config.kind, config.head_size, config.count("num_attention_heads")
    groups = config.count("num_key_value_heads", heads)
    if heads % groups or size % 8:
        raise ExportError(f"{heads} heads of {size}, {groups} of keys and values: no kernel of the CPU takes that")
    named = str(raw.get("hidden_act") or raw.get("hidden_activation"))
    activation = kind.activation or _ACTIVATIONS.get(named)
    if activation is None:
        raise ExportError(f"config.json says the activation is {named[:40]!r}, which is not known")
    ropes, most = _ropes(config)
    width = config.count("hidden_size")
    window = config.count("sliding_window") if SLIDING in config.layer_types else None
    epsilon = next((name for name in ("rms_norm_eps", "norm_epsilon", "layer_norm_eps") if name in raw), "rms_norm_eps")
    scalar = config.positive("query_pre_attn_scalar", 256) if kind.scalar_scale else 0.0
    return Decoder(
        width=width,
        heads=heads,
        key_value_heads=groups,
        head_size=size,
        context_length=min(config.count("max_position_embeddings"), most, MOST_CONTEXT),
        layers=tuple(Layer(ropes[seen], window if seen == SLIDING else None) for seen in config.layer_types),
        norm=kind.norm,
        epsilon=config.positive(epsilon, kind.epsilon),
        activation=activation,
        attention_scale=scalar**-0.5 if scalar else config.number("attention_multiplier", 0.0),
        attention_cap=config.number("attn_logit_softcapping", 0.0),
        embedding_scale=math.sqrt(width) if kind.above_one else config.number("embedding_multiplier", 1.0),
        residual_scale=config.number("residual_multiplier", 1.0),
        logit_scale=1.0 / config.positive("logits_scaling", 1.0),
        logit_cap=config.number("final_logit_softcapping", 0.0),
        parallel=raw.get("use_parallel_residual") is True,
    )


def _ropes(config: Config) -> tuple[Mapping[str, Rope], int]:
    """The positions of each kind of layer, and the most of them."""
    raw = config.raw
    stated = raw.get("rope_parameters")
    if isinstance(stated, Mapping) and isinstance(stated.get(FULL), Mapping):
        full, most = _rope(config, stated[FULL])
        local, _ = _rope(config, stated.get(SLIDING) or {"rope_theta": config.kind.local_base})
        return {FULL: full, SLIDING: local}, most
    full, most = _rope(config, stated or raw.get("rope_scaling") or {})
    if "rope_local_base_freq" not in raw:
        return {FULL: full, SLIDING: full}, most
    local, _ = _rope(config, {"rope_theta": raw["rope_local_base_freq"]})
    return {FULL: full, SLIDING: local}, most


def _rope(config: Config, stated: Mapping[str, Any]) -> tuple[Rope, int]:
    raw, unbounded = {**config.raw, **stated}, 1 << 31

    def number(name: str, default: float | None = None) -> float:
        value = raw.get(name)
        return _number(default if value is None else value, name)

    kind = str(stated.get("rope_type") or stated.get("type") or "default")
    base = number("rope_theta", 10000.0)
    size = int(config.head_size * number("partial_rotary_factor", config.kind.rotated))
    original = number("original_max_position_embeddings", number("max_position_embeddings"))
    if not base > 1 or size % 2 or not 0 < size <= config.head_size or original < 1:
        raise ExportError(f"rotary positions of base {base:g} over {size} of {config.head_size} values cannot be")
    _check_rotary(config.head_size, size)
    plain = Rope(base, size)
    factor = 1.0 if kind in ("default", "longrope", "su") else number("factor")
    if factor < 1:
        raise ExportError(f"config.json stretches positions by {factor:g}; it must be at least 1")
    if kind == "default":
        return plain, unbounded
    if kind == "linear":
        return Rope(base, size, linear=factor), unbounded
    if kind == "llama3":
        factors = _llama3(plain, factor, number("low_freq_factor"), number("high_freq_factor"), original)
        return Rope(base, size, factors=factors), unbounded
    if kind == "yarn":
        yarn = Yarn(factor, int(original), number("beta_fast", 32.0), number("beta_slow", 1.0))
        return Rope(base, size, yarn=yarn, magnitude=_yarn_magnitude(stated, factor)), unbounded
    if kind in ("longrope", "su"):
        short = stated.get("short_factor")
        if not isinstance(short, list) or len(short) != size // 2:
            raise ExportError(f"config.json has no {size // 2} factors of short texts (short_factor)")
        stretch = number("factor", number("max_position_embeddings") / original)
        usual = math.sqrt(1 + math.log(stretch) / math.log(original)) if stretch > 1 else 1.0
        # Beyond the original length other factors apply, and a graph cannot have both. So this length is the limit.
        factors = tuple(_number(value, "short_factor") for value in short)
        return Rope(base, size, factors=factors, magnitude=number("attention_factor", usual)), int(original)
    raise ExportError(f"rotary positions of type {kind[:40]!r} change with the length of the text; no graph has them")


def _check_rotary(head_size: int, rotated: int) -> None:
    try:
        rotary_order(head_size, rotated)
    except ValueError as error:
        raise ExportError(f"the positions of config.json cannot be written: {error}") from error


def _llama3(plain: Rope, factor: float, low: float, high: float, original: float) -> tuple[float, ...]:
    """The divisor of each frequency: 1 for those that turn at least ``high`` times over the original length, the factor
    for those below ``low`` turns, and a mixture in between (Llama 3.1).
    """
    found = []
    for frequency in plain.frequencies().tolist():
        turns = original * frequency / (2 * math.pi)
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0) if high > low else float(turns >= high)
        found.append(1.0 / ((1 - smooth) / factor + smooth))
    return tuple(found)


def _yarn_magnitude(stated: Mapping[str, Any], factor: float) -> float:
    if stated.get("attention_factor") is not None:
        return _number(stated["attention_factor"], "attention_factor")

    def scale(name: str) -> float:
        return 0.1 * _number(stated[name], name) * math.log(factor) + 1.0

    if stated.get("mscale") and stated.get("mscale_all_dim"):
        return scale("mscale") / scale("mscale_all_dim")
    return 0.1 * math.log(factor) + 1.0


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ExportError(f"config.json says {name} is {str(value)[:40]!r}; it must be a number")
    return float(value)
