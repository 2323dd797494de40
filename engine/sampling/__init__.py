"""How the next token is chosen from a row of logits: a pipeline of pure functions, then a draw."""

from engine.sampling.bat import BasisAware
from engine.sampling.chain import Chooser, History, TokenChooser, build_chooser
from engine.sampling.rows import log_softmax, log_sum_exp, top_two, top_two_gap

__all__ = [
    "BasisAware",
    "Chooser",
    "History",
    "TokenChooser",
    "build_chooser",
    "log_softmax",
    "log_sum_exp",
    "top_two",
    "top_two_gap",
]
