"""When a completion ends, judged by its text: stop strings, the end of the line or the block, too little confidence.

Ends that are not in the text (control ids, length, time) belong to the decode loop and its caller.
"""

import math
from dataclasses import dataclass, field

from engine.config import StopParams
from engine.text.utf8_stream import Utf8Stream
from engine.text.words import is_word_character
from engine.types import StopReason

_CLOSERS = tuple(")]}")


def indent_width(line: str) -> int:
    """Columns of white space before the first other character; a tab advances to the next multiple of 8."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(8))


def single_line_end(text: str) -> int | None:
    """Index of the first line break, or None."""
    ends = [index for index in (text.find("\n"), text.find("\r")) if index >= 0]
    return min(ends, default=None)


def word_end(before: str, text: str, *, is_whole: bool = True) -> int:
    """Length of the beginning of ``before`` that does not end inside a word, if ``text`` continues ``before``.

    If ``text`` adds nothing yet, ``is_whole`` says that no part of a character follows, which could become a letter.
    """
    following = text[len(before) : len(before) + 1]
    goes_on = is_word_character(following) if following else not is_whole
    return len(before) - len(_last_word(before)) if goes_on else len(before)


def block_end(text: str, line_prefix: str) -> int | None:
    """Index at which ``text``, written after ``line_prefix`` (the cursor's line so far), leaves its block, or None.

    On a blank line the block is that of the first line written: a later line with less indentation ends it. After code,
    further lines must be indented deeper than the cursor's line, except one that begins with a closing bracket at its
    depth. Two blank lines end any block, and so does one before a line that is not indented. A line whose first
    character is not written yet decides nothing.
    """
    in_block = not line_prefix.strip()
    depth: int | None = None
    position = kept = blank = 0
    for line in (line_prefix + text).split("\n"):
        start, position = position, position + len(line) + 1
        if not line.strip():
            blank += depth is not None
            continue
        width = indent_width(line)
        if depth is None:
            depth = width
        elif blank >= 2 or (blank and width == 0) or not _belongs(line, width, depth, in_block):
            return max(0, kept - len(line_prefix))
        kept, blank = start + len(line.rstrip(" \t\r")), 0
    return None


def _belongs(line: str, width: int, depth: int, in_block: bool) -> bool:
    if width == depth and line.lstrip().startswith(_CLOSERS):
        return True
    return width >= depth if in_block else width > depth


@dataclass(slots=True)
class StopTracker:
    """Collects one completion. Give it bytes with `push`, read `decided` meanwhile and `text` at the end.

    ``line_prefix`` is the cursor's line before the cursor; blocks are measured against it.
    """

    params: StopParams
    line_prefix: str
    text: str = ""
    ended: StopReason | None = None
    logprob: float = 0.0
    _stream: Utf8Stream = field(default_factory=Utf8Stream)

    def push(self, data: bytes, logprob: float = 0.0) -> StopReason | None:
        """Add the bytes of a token. Returns why the completion ends here, or None. If it ends, `text` is cut there.

        ``logprob`` is the token's natural log-probability; it is used if the parameters ask for confidence.
        """
        assert self.ended is None, "the completion has ended"
        before = self.text
        self.text += self._stream.push(data)
        self.logprob += logprob
        ends = [(end, reason) for end, reason in self._ends() if end is not None]
        if self.logprob < self._least:
            ends.append((word_end(before, self.text, is_whole=self._stream.is_whole), "doubt"))
        if ends:
            # If two ends are at one place, the reason that is not doubt counts.
            end, _, self.ended = min((end, reason == "doubt", reason) for end, reason in ends)
            self.text = self.text[:end]
        if self.ended == "doubt":
            self._drop_empty_line()
        return self.ended

    def finish(self, reason: StopReason) -> None:
        """End for a reason outside the text. A line break and indentation with nothing after them are dropped."""
        self.ended = self.ended or reason
        self._drop_empty_line()

    @property
    def decided(self) -> str:
        """The part of `text` that no later token can take back."""
        if self.ended is not None:
            return self.text
        held = max((_held_back(self.text, stop) for stop in self.params.stop_strings), default=0)
        decided = self.text[: len(self.text) - held]
        if self.params.min_confidence > 0.0:
            decided = decided[: len(decided) - len(_last_word(decided))]  # doubt may take a cut word back
        if self.params.lines == "multi":
            # Only the first character of the last line tells whether the line still belongs to the block.
            decided = decided.rstrip()
        return decided

    @property
    def _least(self) -> float:
        return math.log(self.params.min_confidence) if self.params.min_confidence > 0.0 else -math.inf

    def _drop_empty_line(self) -> None:
        if self.params.lines == "multi":
            stripped = self.text.rstrip(" \t\r\n")
            self.text = stripped if "\n" in self.text[len(stripped) :] else self.text

    def _ends(self) -> list[tuple[int | None, StopReason]]:
        found = [self.text.find(stop) for stop in self.params.stop_strings]
        ends: list[tuple[int | None, StopReason]] = [(end, "stop-string") for end in found if end >= 0]
        if self.params.lines == "single":
            ends.append((single_line_end(self.text), "line"))
        else:
            ends.append((block_end(self.text, self.line_prefix), "block"))
        return ends


def _last_word(text: str) -> str:
    """The word characters that ``text`` ends in."""
    start = len(text)
    while start and is_word_character(text[start - 1]):
        start -= 1
    return text[start:]


def _held_back(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` with which ``stop`` begins: it may still become the stop string."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
