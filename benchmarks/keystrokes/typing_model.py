"""How a person types a given text: when each key is pressed, which one it is, and when ghost text is accepted instead.

The times between keys are log-normal: many short ones, a few long ones. The person is a quick programmer (for prose the
average is about 240 ms a key, see Dhakal et al., "Observations on Typing from 136 Million Keystrokes", CHI 2018):
bursts inside a word, longer times before symbols and capitals, a short pause before a word, and now and then a long
pause before a line. Typos hit a key next to the right one, are noticed up to two keys later, and are deleted one
character at a time.

All randomness depends on the seed and the place in the text, so two runs make the same mistakes at the same places,
whatever was suggested.
"""

import random
import re
from dataclasses import dataclass
from typing import Literal

KeyKind = Literal["type", "slip", "enter", "indent", "delete", "accept", "accept word", "dismiss"]

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    letter: [row[i] for i in (index - 1, index + 1) if 0 <= i < len(row)]
    for row in _ROWS
    for index, letter in enumerate(row)
}
_WORD = re.compile(r"\s*(?:\w+|[^\w\s]+)")
"""What an editor's "accept the next word" takes."""
_OPENERS = (":", "(", "[", "{")


@dataclass(frozen=True, slots=True)
class Hand:
    """The person. Times are medians in seconds; ``spread`` is the sigma of their logarithms.

    Ghost text is noticed once it has been visible for ``notice_s``. If all of it is right and it has at least
    ``whole_from`` characters, it is accepted whole. Otherwise it is accepted word by word while the next word is right
    and has at least ``word_from`` characters. Wrong ghost text is dismissed in ``dismiss_share`` of the cases.
    """

    key_s: float = 0.13
    symbol_s: float = 0.24
    word_s: float = 0.21
    line_s: float = 0.45
    thought_s: float = 2.0
    delete_s: float = 0.11
    spread: float = 0.35
    thought_share: float = 0.2
    typo_share: float = 0.025
    dismiss_share: float = 0.05
    notice_s: float = 0.35
    whole_from: int = 2
    word_from: int = 3


@dataclass(frozen=True, slots=True)
class Key:
    """One key: how many characters before the cursor it removes, and the text that it inserts there."""

    kind: KeyKind
    remove: int = 0
    insert: str = ""


class Typist:
    """Types ``target``: call `pause`, wait that long, then call `press`. ``written`` is the text so far."""

    def __init__(self, target: str, hand: Hand, seed: str, indent: str = "    ", line_start: str = "") -> None:
        """``line_start`` is the text that is on the first line already, ``indent`` one level of indentation as the
        editor inserts it.
        """
        self.written = ""
        self._target = target
        self._hand = hand
        self._seed = seed
        self._indent = indent
        self._line_start = line_start
        self._slipped: set[int] = set()
        self._dismissed: set[int] = set()
        self._unnoticed = 0

    @property
    def done(self) -> bool:
        return self.written == self._target

    def pause(self) -> float:
        """Seconds until the next key."""
        hand, place = self._hand, len(self.written)
        chance = self._chance("pause", place)
        spread = chance.lognormvariate(0.0, hand.spread)
        if self._wrong():
            return (hand.delete_s if self._unnoticed == 0 else hand.key_s) * spread
        before, after = self.written[-1:], self._target[place : place + 1]
        if not self._line().strip():
            return (hand.thought_s if chance.random() < hand.thought_share else hand.line_s) * spread
        if after.isalpha() and after.islower():
            return (hand.key_s if before.isalnum() else hand.word_s) * spread
        return hand.symbol_s * spread

    def press(self, ghost: str, visible_s: float) -> Key:
        """The next key, for ghost text (possibly empty) that has been visible for ``visible_s``. Must not be `done`."""
        key = self._correction() if self._wrong() else self._acceptance(ghost, visible_s) or self._typing()
        self.written = self.written[: len(self.written) - key.remove] + key.insert
        return key

    def _correction(self) -> Key:
        place, wrong = len(self.written), self._wrong()
        following = self._target[place : place + 1]
        if self._unnoticed and following.strip():
            self._unnoticed -= 1
            return Key("type", insert=following)
        self._unnoticed = 0
        blank = not self._line().strip()
        if blank and self._target[place - wrong : place - wrong + 1] == "\n":
            return Key("enter", wrong, "\n" + self._line())  # the editor trims an empty line
        return Key("delete", min(wrong, len(self._indent)) if blank else 1)

    def _acceptance(self, ghost: str, visible_s: float) -> Key | None:
        hand, place = self._hand, len(self.written)
        if not ghost or visible_s < hand.notice_s:
            return None
        agreed = _agreed(ghost, self._target[place:])
        if agreed == len(ghost) >= hand.whole_from:
            return Key("accept", insert=ghost)
        word = _WORD.match(ghost)
        if word and hand.word_from <= word.end() <= agreed:
            return Key("accept word", insert=word[0])
        if agreed == 0 and place not in self._dismissed:
            self._dismissed.add(place)
            if self._chance("dismiss", place).random() < hand.dismiss_share:
                return Key("dismiss")
        return None

    def _typing(self) -> Key:
        place = len(self.written)
        letter, line = self._target[place], self._line()
        if letter == "\n":
            level = line[: len(line) - len(line.lstrip())]
            more = self._indent if line.rstrip().endswith(_OPENERS) else ""
            return Key("enter", insert=f"\n{level}{more}")
        if not line.strip() and self._target.startswith(self._indent, place):
            return Key("indent", insert=self._indent)
        chance = self._chance("slip", place)
        if letter in _NEIGHBOURS and place not in self._slipped and chance.random() < self._hand.typo_share:
            self._slipped.add(place)
            self._unnoticed = chance.randrange(3)
            return Key("slip", insert=chance.choice(_NEIGHBOURS[letter]))
        return Key("type", insert=letter)

    def _wrong(self) -> int:
        """How many characters at the end are wrong."""
        return len(self.written) - _agreed(self.written, self._target)

    def _line(self) -> str:
        """The cursor's line, up to the cursor."""
        return (self._line_start + self.written).rpartition("\n")[2]

    def _chance(self, what: str, place: int) -> random.Random:
        return random.Random(f"{self._seed}/{what}/{place}")


def _agreed(first: str, second: str) -> int:
    """How many characters two texts begin with in common."""
    length = min(len(first), len(second))
    return next((index for index in range(length) if first[index] != second[index]), length)
