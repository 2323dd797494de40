"""Made-up source files: no test needs a download."""

import random

NAMES = ("alpha", "beta", "gamma", "delta", "items", "value", "index", "total", "count", "result")
BODY = """import os
import sys


def {a}_{b}({c}, {d}=None):
    \"\"\"Return the {a} of {c}.\"\"\"
    for i in range(len({c})):
        if {c}[i] == {d}:
            return self.{b}[{n}]

    return {c}


class {A}:
    def __init__(self, {b}):
        self.{b} = {b}


"""


def make_source(seed: int) -> str:
    """A file of Python-like text, different for every seed."""
    rng = random.Random(seed)
    parts = []
    for _ in range(4):
        a, b, c, d = rng.sample(NAMES, 4)
        parts.append(BODY.format(a=a, b=b, c=c, d=d, A=a.title(), n=rng.randrange(1000)))
    return "".join(parts)
