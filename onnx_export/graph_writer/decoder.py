"""What the writer must know about a decoder from any source: sizes, norms, positions, multipliers."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Norm = Literal["rms", "layer"]
Activation = Literal["silu", "gelu", "gelu-tanh"]
_ROTARY_STEP = 8
"""The kernel rotates pairs of values by so many at a time."""


@dataclass(frozen=True, slots=True)
class Yarn:
    """YaRN (arXiv 2309.00071): frequencies below ``slow`` turns over ``original`` positions are divided by the factor,
    those above ``fast`` turns stay, in between they are mixed.
    """

    factor: float
    original: int
    fast: float = 32.0
    slow: float = 1.0


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary positions of the first ``size`` values of each head, with the two halves rotated against each other.

    ``factors`` divide the ``size / 2`` frequencies one by one (Llama 3, LongRoPE), ``linear`` all of them;
    ``magnitude`` multiplies cosine and sine.
    """

    base: float
    size: int
    linear: float = 1.0
    factors: tuple[float, ...] = ()
    yarn: Yarn | None = None
    magnitude: float = 1.0

    def tables(self, length: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cosine and sine, ``[length, wide]`` each. ``wide`` is ``size / 2`` rounded up to what the kernel takes; the
        angles that are added are 0, which rotate nothing (see `rotary_order`).
        """
        angles = np.outer(np.arange(length, dtype=np.float64), self.frequencies())
        added = ((0, 0), (0, _wide(self.size // 2) - self.size // 2))
        cosine = np.pad(self.magnitude * np.cos(angles), added, constant_values=1.0)
        sine = np.pad(self.magnitude * np.sin(angles), added)
        return cosine.astype(np.float32), sine.astype(np.float32)

    def frequencies(self) -> NDArray[np.float64]:
        """Radians for each position, ``[size / 2]``."""
        exponents = np.arange(0, self.size, 2, dtype=np.float64) / self.size
        plain = self.base**-exponents
        if self.factors:
            plain = plain / np.array(self.factors, np.float64)
        if self.yarn is not None:
            return self._mixed(plain, self.yarn)
        return plain / self.linear

    def _mixed(self, plain: NDArray[np.float64], yarn: Yarn) -> NDArray[np.float64]:
        def place(turns: float) -> float:
            """Index of the frequency that makes ``turns`` turns over the original length."""
            return self.size * np.log(yarn.original / (turns * 2 * np.pi)) / (2 * np.log(self.base))

        low = max(np.floor(place(yarn.fast)), 0.0)
        high = min(np.ceil(place(yarn.slow)), self.size - 1.0)
        ramp = np.clip((np.arange(self.size // 2) - low) / max(high - low, 0.001), 0.0, 1.0)
        mixed: NDArray[np.float64] = plain / yarn.factor * ramp + plain * (1.0 - ramp)
        return mixed


def rotary_order(size: int, rotated: int) -> NDArray[np.int64] | None:
    """The order of the ``size`` values of a head in which the tables of `Rope.tables` rotate its first ``rotated``
    values: each half of these, then values that are not rotated. None if they may stay as they are.

    Errors: ValueError if the head is too small for that.
    """
    half = rotated // 2
    added = _wide(half) - half
    if not added:
        return None
    if 2 * (half + added) > size:
        raise ValueError(f"{rotated} of {size} values are rotated: no kernel takes that")
    ends = (half, half + added, 2 * half + added, 2 * (half + added))
    order = np.empty(size, np.int64)
    order[: ends[0]], order[ends[1] : ends[2]] = np.arange(half), np.arange(half, rotated)
    rest = np.arange(rotated, size)
    order[ends[0] : ends[1]], order[ends[2] : ends[3]] = rest[:added], rest[added : 2 * added]
    order[ends[3] :] = rest[2 * added :]
    return order


def _wide(half: int) -> int:
    return -(-half // _ROTARY_STEP) * _ROTARY_STEP


@dataclass(frozen=True, slots=True)
class Layer:
    """What differs between layers: the positions, and how far back attention looks (None: to the beginning)."""

    rope: Rope
    window: int | None = None


@dataclass(frozen=True, slots=True)
class Decoder:
    """A decoder-only transformer. The weights that exist determine which biases and norms it has.

    ``embedding_scale`` multiplies embeddings, ``residual_scale`` what a layer adds, ``logit_scale`` the logits; a cap c
    turns x into c * tanh(x / c). ``parallel`` says that attention and feed-forward read the same norm (StableLM 12B).
    """

    width: int
    heads: int
    key_value_heads: int
    head_size: int
    context_length: int
    layers: tuple[Layer, ...]
    norm: Norm = "rms"
    epsilon: float = 1e-5
    activation: Activation = "silu"
    attention_scale: float = 0.0
    attention_cap: float = 0.0
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logit_scale: float = 1.0
    logit_cap: float = 0.0
    parallel: bool = False
    notes: tuple[str, ...] = field(default=())
