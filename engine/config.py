"""Parameters of one request, validated once, when they are made.

Every ``__post_init__`` raises `RequestError`, which names the parameter and the allowed range.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from engine.errors import RequestError

HealingMode = Literal["off", "k-step", "exact"]
Strategy = Literal["greedy", "sample"]
DeviceChoice = Literal["auto", "cpu", "cuda"]
LineMode = Literal["single", "multi"]

HEALING_MODES: tuple[HealingMode, ...] = get_args(HealingMode)
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
DEVICES: tuple[DeviceChoice, ...] = get_args(DeviceChoice)


def require_range(name: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    """Raise `RequestError` unless ``low <= value <= high`` (``low < value`` with ``open_low``); NaN never passes."""
    above = value > low if open_low else value >= low
    if not (above and value <= high):
        relation = "above" if open_low else "at least"
        upper = "" if math.isinf(high) else f" and at most {_plain(high)}"
        raise RequestError(f"{name} is {_plain(value)}; it must be {relation} {_plain(low)}{upper}")


def require_count(name: str, value: int, low: int, high: float = math.inf) -> None:
    """Raise `RequestError` unless ``value`` is a whole number and ``low <= value <= high``."""
    if not isinstance(value, int):
        raise RequestError(f"{name} is {value!r}; it must be a whole number")
    require_range(name, value, low, high)


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `RequestError` unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise RequestError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")


@dataclass(frozen=True, slots=True)
class HealingParams:
    """How the partial token at the cursor is healed; see ``docs/healing.md``.

    For ``k-step``, ``k_max`` bounds the tokens dropped, ``tau`` is the least number of candidates at which it stops
    going back, ``mixture`` the weight of the healed distribution beside the un-healed one (1 is pure healing).
    Where the typed text surprises the model by more than ``max_surprise_bits``, nothing is completed.
    """

    mode: HealingMode = "exact"
    k_max: int = 3
    tau: int = 2
    mixture: float = 1.0
    max_surprise_bits: float = math.inf

    def __post_init__(self) -> None:
        require_choice("healing", self.mode, HEALING_MODES)
        require_count("k_max", self.k_max, 1, 64)
        require_count("tau", self.tau, 1, 1_000_000)
        require_range("mixture", self.mixture, 0.0, 1.0)
        require_range("max_surprise_bits", self.max_surprise_bits, 0.0, math.inf)


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen. ``greedy`` takes the argmax and ignores the rest; temperature 0 is greedy too."""

    strategy: Strategy = "greedy"
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        require_choice("strategy", self.strategy, STRATEGIES)
        require_range("temperature", self.temperature, 0.0, 100.0)
        require_count("top_k", self.top_k, 0)
        require_range("top_p", self.top_p, 0.0, 1.0, open_low=True)
        if self.seed is not None:
            require_count("seed", self.seed, 0, 2**63 - 1)


@dataclass(frozen=True, slots=True)
class StopParams:
    """When a completion ends. ``lines`` is ``single`` (before the next line break) or ``multi`` (with the block)."""

    max_new_tokens: int = 64
    lines: LineMode = "single"
    stop_strings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_count("max_new_tokens", self.max_new_tokens, 1, 4096)
        require_choice("lines", self.lines, get_args(LineMode))
        if any(not text for text in self.stop_strings):
            raise RequestError("a stop string is empty; leave it out")
