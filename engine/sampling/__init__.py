"""How a token is chosen from a row of logits: a pipeline of pure functions, then a draw."""

from engine.sampling.chain import Chooser, build_chooser
from engine.sampling.transforms import log_softmax, log_sum_exp, temperature, top_k, top_p

__all__ = ["Chooser", "build_chooser", "log_softmax", "log_sum_exp", "temperature", "top_k", "top_p"]
