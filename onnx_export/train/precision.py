"""Whether matrix products in bfloat16 are faster here. It is measured, because names of processors do not tell.

Without instructions for them a processor is several times slower in bfloat16; with matrix engines it is several times
faster.
"""

import time
from collections.abc import Callable
from functools import cache

import torch

ROWS, WIDTH, INNER = 512, 576, 1_536
"""Sizes of the product that is timed: a piece of text through a layer of a model with 135 M parameters."""
TURNS = 4
FASTER = 1.2
"""How much faster bfloat16 must be: it also rounds."""

Product = Callable[[], object]


@cache
def bfloat16_pays(device: str) -> bool:
    """True on a GPU, and on a processor that multiplies at least `FASTER` times as fast in bfloat16.

    The first call takes some 50 ms; all calls of a process give the same answer.
    """
    if device != "cpu":
        return True
    generator = torch.Generator().manual_seed(1)
    left = torch.randn(ROWS, WIDTH, generator=generator)
    right = torch.randn(WIDTH, INNER, generator=generator)
    low_left, low_right = left.bfloat16(), right.bfloat16()
    return is_faster(lambda: low_left @ low_right, lambda: left @ right)


def is_faster(one: Product, other: Product, clock: Callable[[], float] = time.perf_counter) -> bool:
    """Whether `one` is at least `FASTER` times as fast as `other`, by the best of some turns each, in turn."""
    best = [float("inf"), float("inf")]
    for _ in range(TURNS):
        for place, product in enumerate((one, other)):
            started = clock()
            product()
            best[place] = min(best[place], clock() - started)
    return best[0] * FASTER <= best[1]
