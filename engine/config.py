"""Parameters of one request. They are validated when they are created.

Every ``__post_init__`` raises `RequestError`, which names the parameter and the allowed range.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from engine.errors import RequestError

HealingMode = Literal["off", "k-step", "exact"]
BaselineMode = Literal["native", "constrained"]
Strategy = Literal["greedy", "sample", "edt", "adapt", "kl", "entropy-gate", "sed", "beam", "best-first", "branch"]
DeviceChoice = Literal["auto", "cpu", "cuda", "cuda-graph"]
LineMode = Literal["single", "multi"]
Speculation = Literal["auto", "off"]

HEALING_MODES: tuple[HealingMode, ...] = get_args(HealingMode)
BASELINE_MODES: tuple[BaselineMode, ...] = get_args(BaselineMode)
"""What other tools do, for comparison: `engine.healing.constrained`, and the prompt cut at the cursor."""
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
SPECULATIONS: tuple[Speculation, ...] = get_args(Speculation)
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

    ``native`` and ``constrained`` are what other tools do, for comparisons. For ``k-step``, ``k_max`` bounds the tokens
    dropped, ``tau`` is the least number of candidates at which it stops going back, and ``mixture`` is the weight of
    the healed distribution beside the un-healed one (1 is pure healing). If the typed text surprises the model by more
    than ``max_surprise_bits``, nothing is completed.
    """

    mode: HealingMode | BaselineMode = "exact"
    k_max: int = 3
    tau: int = 2
    mixture: float = 1.0
    max_surprise_bits: float = math.inf

    def __post_init__(self) -> None:
        require_choice("healing", self.mode, (*HEALING_MODES, *BASELINE_MODES))
        require_count("k_max", self.k_max, 1, 64)
        require_count("tau", self.tau, 1, 1_000_000)
        require_range("mixture", self.mixture, 0.0, 1.0)
        require_range("max_surprise_bits", self.max_surprise_bits, 0.0, math.inf)


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen; ``docs/sampling.md`` has the table of strategies, rules and papers.

    Truncations and penalties combine. Parameters of a strategy that is not in use have no effect.
    """

    strategy: Strategy = "greedy"
    """One of `STRATEGIES`. ``greedy`` takes the most probable token and ignores temperature and truncations."""
    temperature: float = 1.0
    """0 to 100; 0 is greedy. Strategies that compute a temperature start from this one."""
    top_k: int = 0
    """0 or more: only the k most probable tokens are drawn from; 0 is off."""
    top_p: float = 1.0
    """Above 0, to 1: only the smallest set of tokens whose probabilities add up to this; 1 is off."""
    seed: int | None = None
    """0 to 2**63 - 1: the same seed gives the same draws; None gives fresh ones."""
    min_p: float = 0.0
    """0 to 1: only tokens with at least this share of the best token's probability; 0 is off."""
    top_n_sigma: float = 0.0
    """0 to 100: only logits within n standard deviations of the largest; 0 is off."""
    eta: float = 0.0
    """0 to 1: threshold of eta sampling; 0 is off."""
    epsilon: float = 0.0
    """0 to 1: only tokens at least this probable; 0 is off."""
    bat: float = 0.0
    """0 to 0.5: threshold of basis-aware truncation; 0 is off. It needs the extra ``bat``."""
    repetition_penalty: float = 1.0
    """Above 0, to 10: divides the positive logits of tokens seen before, multiplies the negative ones; 1 is off."""
    frequency_penalty: float = 0.0
    """-2 to 2: subtracted from a logit for each time that its token was written; 0 is off."""
    presence_penalty: float = 0.0
    """-2 to 2: subtracted once from the logit of a token that was written; 0 is off."""
    no_repeat_ngram: int = 0
    """0 to 64: no sequence of this many tokens is written twice; 0 is off."""
    edt_base: float = 0.8
    """Above 0, to 1: base of ``edt``."""
    edt_theta: float = 1.0
    """0 to 100: ``edt``, how strongly the temperature depends on the entropy."""
    adapt_line_start: float = 0.8
    """Above 0, to 10: ``adapt``, factor of the temperature at the start of a line."""
    adapt_elsewhere: float = 0.6
    """Above 0, to 10: ``adapt``, factor of the temperature everywhere else."""
    adapt_top_p: float = 0.95
    """Above 0, to 1: ``adapt`` uses it as ``top_p``; the smaller of the two counts."""
    kl_sigma: float = 1.0
    """Above 0, to 1000: ``kl``, scale of the divergence from the model with less context."""
    gate_entropy_bits: float = 1.0
    """0 to 32 bits: ``entropy-gate``, above this the entropy is high."""
    gate_varentropy_bits: float = 3.0
    """0 to 1024 bits squared: ``entropy-gate``, above this the varentropy is high."""
    gate_temperature: float = 1.3
    """1 to 10: ``entropy-gate``, factor on the temperature if the entropy is high."""
    gate_top_p: float = 0.9
    """Above 0, to 1: ``entropy-gate``, used as ``top_p`` if entropy and varentropy are both high."""
    sed_ratio: float = 0.8
    """Above 0, to 1: ``sed`` looks ahead if the second probability is at least this share of the first."""
    sed_branches: int = 2
    """2 to 16: ``sed`` and ``entropy-gate``, number of options that a look-ahead follows."""
    sed_tokens: int = 4
    """1 to 64: ``sed`` and ``entropy-gate``, number of tokens for which each option is followed."""
    beam_width: int = 4
    """1 to 64: ``beam`` and ``best-first``, hypotheses kept of each length."""
    length_alpha: float = 0.6
    """0 to 5: ``beam`` and ``best-first``, exponent of the length normalisation."""
    branches: int = 3
    """1 to 64: ``branch``, covers that are each written to their end."""

    def __post_init__(self) -> None:
        require_choice("strategy", self.strategy, STRATEGIES)
        for name, (low, high) in _CLOSED_RANGES.items():
            require_range(name, getattr(self, name), low, high)
        for name, high in _POSITIVE_RANGES.items():
            require_range(name, getattr(self, name), 0.0, high, open_low=True)
        for name, (least, most) in _COUNTS.items():
            require_count(name, getattr(self, name), least, most)
        if self.seed is not None:
            require_count("seed", self.seed, 0, 2**63 - 1)
        if self.strategy in SEARCHES:
            self._refuse_what_draws()

    @property
    def draws(self) -> bool:
        """Whether tokens are drawn at random."""
        return self.strategy in DRAWS and self.temperature > 0.0

    def _refuse_what_draws(self) -> None:
        for name in _ONLY_FOR_DRAWS:
            value = getattr(self, name)
            if value != _OFF.get(name, 0):
                raise RequestError(
                    f"{name} is {_plain(value)}, but strategy {self.strategy} draws nothing; it must be "
                    f"{_plain(_OFF.get(name, 0))} there, or the strategy one of {', '.join(DRAWS)}"
                )


DRAWS: tuple[Strategy, ...] = ("sample", "edt", "adapt", "kl", "entropy-gate")
"""Strategies that draw at random; temperature and truncations belong to them."""
BEAMS: tuple[Strategy, ...] = ("beam", "best-first")
"""Strategies that keep ``beam_width`` hypotheses, and so return at most that many completions."""
SEARCHES: tuple[Strategy, ...] = ("sed", *BEAMS, "branch")
"""Strategies that compare continuations by the model's own probabilities."""

_ONLY_FOR_DRAWS = ("temperature", "top_k", "top_p", "min_p", "top_n_sigma", "eta", "epsilon", "bat")
_OFF: Mapping[str, float] = MappingProxyType({"temperature": 1.0, "top_p": 1.0})
_CLOSED_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "temperature": (0.0, 100.0),
        "min_p": (0.0, 1.0),
        "top_n_sigma": (0.0, 100.0),
        "eta": (0.0, 1.0),
        "epsilon": (0.0, 1.0),
        "bat": (0.0, 0.5),
        "frequency_penalty": (-2.0, 2.0),
        "presence_penalty": (-2.0, 2.0),
        "edt_theta": (0.0, 100.0),
        "gate_entropy_bits": (0.0, 32.0),
        "gate_varentropy_bits": (0.0, 1024.0),
        "gate_temperature": (1.0, 10.0),
        "length_alpha": (0.0, 5.0),
    }
)
_POSITIVE_RANGES: Mapping[str, float] = MappingProxyType(
    {
        "top_p": 1.0,
        "repetition_penalty": 10.0,
        "edt_base": 1.0,
        "adapt_line_start": 10.0,
        "adapt_elsewhere": 10.0,
        "adapt_top_p": 1.0,
        "kl_sigma": 1000.0,
        "gate_top_p": 1.0,
        "sed_ratio": 1.0,
    }
)
_COUNTS: Mapping[str, tuple[int, float]] = MappingProxyType(
    {
        "top_k": (0, math.inf),
        "no_repeat_ngram": (0, 64),
        "sed_branches": (2, 16),
        "sed_tokens": (1, 64),
        "beam_width": (1, 64),
        "branches": (1, 64),
    }
)


@dataclass(frozen=True, slots=True)
class StopParams:
    """When a completion ends. ``lines`` is ``single`` (before the next line break) or ``multi`` (with the block).

    It ends before the word that would bring the probability of everything written below ``min_confidence``; 0 never
    ends it. Searches that compare whole continuations (`SEARCHES` except ``sed``) do not end this way.
    """

    max_new_tokens: int = 64
    lines: LineMode = "single"
    stop_strings: tuple[str, ...] = ()
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        require_count("max_new_tokens", self.max_new_tokens, 1, 4096)
        require_choice("lines", self.lines, get_args(LineMode))
        require_range("min_confidence", self.min_confidence, 0.0, 1.0)
        if any(not text for text in self.stop_strings):
            raise RequestError("a stop string is empty; leave it out")
