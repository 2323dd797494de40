"""The tokens of a document outside the windows that the model reads. They can still be copied from.

They are kept by block. A block starts at an unindented line after an empty one. An edit changes one block, and the
others are not tokenised again.
"""

import re
from collections import OrderedDict

import numpy as np

from engine.text.tokenizer import Tokenizer
from engine.types import IdArray

MOST_CHARACTERS = 100_000
"""Limit for the text on each side; the text nearest to the window counts."""
KEPT_CHARACTERS = 1_000_000
"""Limit for all kept blocks; those used last are kept. It takes some megabytes."""
_BETWEEN_BLOCKS = re.compile(r"(?<=\n\n)(?=\S)")


class OutOfWindow:
    """Tokenises and remembers blocks; one for each tokenizer, not safe for use from two threads at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._blocks: OrderedDict[str, IdArray] = OrderedDict()
        self._characters = 0

    def before(self, text: str) -> IdArray:
        """The ids of the text that ends where a window begins, ``[R] int32``."""
        return self._encode(text[-MOST_CHARACTERS:])

    def after(self, text: str) -> IdArray:
        """The ids of the text that begins where a window ends, ``[R] int32``."""
        return self._encode(text[:MOST_CHARACTERS])

    def _encode(self, text: str) -> IdArray:
        return np.concatenate([self._block(block) for block in _BETWEEN_BLOCKS.split(text)])

    def _block(self, text: str) -> IdArray:
        ids = self._blocks.get(text)
        if ids is None:
            ids = self._blocks[text] = np.array(self._tokenizer.encode_inside(text), np.int32)
            self._characters += len(text)
            while self._characters > KEPT_CHARACTERS:
                self._characters -= len(self._blocks.popitem(last=False)[0])
        else:
            self._blocks.move_to_end(text)
        return ids
