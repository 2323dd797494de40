"""How a token is chosen from a row of logits: a pipeline of pure functions, then a draw."""

from engine.sampling.chain import Chooser, build_chooser
from engine.sampling.transforms import log_softmax, temperature, top_k, top_p

__all__ = ["Chooser", "build_chooser", "log_softmax", "temperature", "top_k", "top_p"]
