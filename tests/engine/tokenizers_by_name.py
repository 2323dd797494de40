"""The tokenizers that tests of several files use, by name. Tests with a real one are skipped if it is absent."""

import json
from functools import cache
from typing import Any

from engine.text.tokenizer import Tokenizer
from tests.real import NAMES, real_tokenizer
from tests.toy import TOYS, trained_toy

SPACED = ("metaspace", "sentencepiece")
ALL = (*sorted(TOYS), "trained", "trained-superwords", *NAMES)
CORPUS = ("import numpy as np\n\n\ndef f(self):\n    return self.name\n", "for i in range(10):\n    print(i)\n") * 8


@cache
def tokenizer_named(name: str) -> Tokenizer:
    if name in TOYS:
        return Tokenizer(TOYS[name]())
    if name.startswith("trained"):
        return Tokenizer(trained_toy(CORPUS, 330, superwords=name.endswith("superwords")))
    return real_tokenizer(name)


def changed(text: str, **parts: Any) -> str:
    """A tokenizer.json with other parts."""
    return json.dumps(json.loads(text) | parts)


# Encoding.
