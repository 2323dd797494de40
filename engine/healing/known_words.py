"""Words that the caller knows to exist become more probable. The model may not know them.

Other words become `UNKNOWN` times as probable as the model says, or impossible if the caller says that there can be no
others. Only the word at the cursor is affected: first the covers of the tail, then the tokens up to the end of the
word.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.healing.k_step import FirstStep
from engine.healing.prefix_index import PrefixIndex
from engine.sampling import log_sum_exp
from engine.text.vocabulary import Vocabulary
from engine.text.words import is_word_character
from engine.types import FloatArray

UNKNOWN = 0.25
IMPOSSIBLE = 1e-6
LOOKED_AT = 512
"""Only this many of the most probable tokens are checked for leading to a known word."""
MOST_WORDS = 256
"""If there can be no other words, up to this many are looked up in the whole vocabulary."""


@dataclass(frozen=True, slots=True)
class KnownWords:
    """The sorted ``words`` that the word at the cursor may become. ``typed`` is what is typed of it; ``only`` says that
    there can be no other words.
    """

    words: tuple[str, ...]
    typed: str
    only: bool = False

    @property
    def others(self) -> float:
        """The factor on the probability of any other word."""
        return IMPOSSIBLE if self.only else UNKNOWN

    @classmethod
    def of(cls, prefix: str, words: Iterable[str], *, only: bool) -> "KnownWords | None":
        """Those of ``words`` that continue the word at the end of ``prefix``; None if there are none."""
        start = len(prefix)
        while start and is_word_character(prefix[start - 1]):
            start -= 1
        typed = prefix[start:]
        found = tuple(sorted(word for word in words if word.startswith(typed)))
        return cls(found, typed, only) if found else None

    def agree_with(self, added: bytes) -> bool:
        """Whether the word at the cursor, followed by ``added``, is one of the words or may become one."""
        text = added.decode("utf-8", errors="ignore")
        length = _word_length(text)
        word = self.typed + text[:length]
        at = bisect_left(self.words, word)
        if at == len(self.words):
            return False
        return self.words[at] == word if length < len(text) else self.words[at].startswith(word)

    def first_step(self, first: FirstStep, vocabulary: Vocabulary) -> FirstStep:
        """The distribution over covers, with other words made less probable."""

        def added(index: int) -> bytes:
            cover = first.cover(index)
            return vocabulary.token_bytes[cover.token][cover.typed :]

        row = first.logprobs
        known = self._known(row, added, len(row) if self.only else LOOKED_AT)
        logprobs = self._weighed(row, known)
        ends = np.cumsum([len(group.ids) for group in first.groups])[:-1]
        parts = np.split(logprobs - logprobs.dtype.type(log_sum_exp(logprobs)), ends)
        groups = (replace(group, logprobs=part) for group, part in zip(first.groups, parts, strict=True))
        return replace(first, groups=tuple(groups))

    def row(self, logits: FloatArray, written: bytes, vocabulary: Vocabulary, index: PrefixIndex) -> FloatArray:
        """The logits of the token after ``written`` (``[V]``), with other words made less probable.

        Returns the same row if the word has ended, or can no longer become one of the words.
        """
        text = written.decode("utf-8", errors="ignore")
        if _word_length(text) < len(text) or not self.agree_with(written):
            return logits
        # A control token ends the word as a line break does.
        known = self._known(logits, lambda token: written + (vocabulary.token_bytes[token] or b"\n"), LOOKED_AT)
        if self.only and not known:
            known = self._tokens(written, vocabulary, index)
        return self._weighed(logits, known)

    def _known(self, row: FloatArray, added: Callable[[int], bytes], looked_at: int) -> list[int]:
        """Those of the most probable entries of the row (``[N]``) that lead to a known word."""
        count = min(looked_at, len(row))
        probable: NDArray[np.intp] = np.argpartition(-row, count - 1)[:count]
        return [index for index in map(int, probable) if self.agree_with(added(index))]

    def _tokens(self, written: bytes, vocabulary: Vocabulary, index: PrefixIndex) -> list[int]:
        """The tokens that continue or end a known word."""
        begun = self.typed.encode() + written
        found: set[int] = set()
        for word in self.words[:MOST_WORDS]:
            data = word.encode()
            if not data.startswith(begun):
                continue
            for end in range(len(begun) + 1, len(data) + 1):
                piece = data[len(begun) : end]
                ids = index.ids[index.slice(piece)]
                found |= {int(token) for token in ids[:1] if vocabulary.token_bytes[token] == piece}
        return sorted(found)

    def _weighed(self, row: FloatArray, known: list[int]) -> FloatArray:
        """The row (``[N]``) with all entries except ``known`` made less probable; unchanged if none is known."""
        if not known:
            return row
        weighed = row + row.dtype.type(np.log(self.others))
        weighed[known] = row[known]
        return weighed


def _word_length(text: str) -> int:
    return next((at for at, character in enumerate(text) if not is_word_character(character)), len(text))
