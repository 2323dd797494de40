"""Character classes of regular expressions, as tests that may answer "unknown".

A test returns True, False or None. None means that the answer depends on the library's version of Unicode, or on a
property that is not known here. Callers then assume what is safe for them.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TypeAlias

Test: TypeAlias = Callable[[str], bool | None]

# White_Space of the Unicode character database; `str.isspace` also accepts the separators U+001C to U+001F.
_WHITE_SPACE = frozenset(
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_CATEGORY = re.compile(r"L[ultmo]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?")


def one_of(low: str, high: str | None = None) -> Test:
    """The characters from ``low`` to ``high``, both included."""
    last = low if high is None else high
    return lambda character: low <= character <= last


def category(name: str) -> Test:
    """A general category, ``L`` or ``Lu``. Unknown names (scripts, other properties) may hold any character."""
    if not _CATEGORY.fullmatch(name):
        return lambda character: None

    def test(character: str) -> bool | None:
        found = unicodedata.category(character)
        # Not assigned in our version of Unicode, but perhaps in the library's.
        return None if found == "Cn" else found.startswith(name)

    return test


def shorthand(letter: str) -> Test:
    r"""The classes ``\s``, ``\d`` and ``\w``."""
    if letter == "s":
        return lambda character: character in _WHITE_SPACE
    if letter == "d":
        return category("Nd")

    def word(character: str) -> bool | None:
        if character.isascii():
            return character.isalnum() or character == "_"
        return True if unicodedata.category(character)[0] == "L" else None

    return word


def inverted(test: Test) -> Test:
    """The characters that are not in the class. Unknown stays unknown."""

    def inverse(character: str) -> bool | None:
        found = test(character)
        return None if found is None else not found

    return inverse


def any_of(tests: Sequence[Test]) -> Test:
    """The union of classes."""

    def union(character: str) -> bool | None:
        found = [test(character) for test in tests]
        return True if True in found else None if None in found else False

    return union


def ignore_case(test: Test) -> Test:
    """The class without regard to case. It is unknown if the cases disagree, and beyond ASCII, where case folding
    varies.
    """

    def folded(character: str) -> bool | None:
        if not character.isascii():
            return None
        found = {test(character.lower()), test(character.upper())}
        return found.pop() if len(found) == 1 else None

    return folded
