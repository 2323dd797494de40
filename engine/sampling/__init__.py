"""How the next token is chosen from a row of logits: a pipeline of pure functions, then a draw."""

from engine.sampling.bat import BasisAware
from engine.sampling.chain import Chooser, History, TokenChooser, build_chooser, build_penalties
from engine.sampling.penalties import repeated_after, repetition_penalty
from engine.sampling.rows import (
    Transform,
    largest,
    log_probabilities,
    log_probability,
    log_softmax,
    log_sum_exp,
    top_two_gap,
)
from engine.sampling.temperature import gate, is_chaotic

__all__ = [
    "BasisAware",
    "Chooser",
    "History",
    "TokenChooser",
    "Transform",
    "build_chooser",
    "build_penalties",
    "gate",
    "is_chaotic",
    "largest",
    "log_probabilities",
    "log_probability",
    "log_softmax",
    "log_sum_exp",
    "repeated_after",
    "repetition_penalty",
    "top_two_gap",
]
