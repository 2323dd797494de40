"""The peer without a model: the last word before the cursor that begins with what is typed, as editors offer it.

    python -m benchmarks.words CASES.jsonl [--characters 4500]

CASES are those of `midtoken evaluate`. Prints for the cases inside identifiers how often the word is in the text before
at all, and how often the last such word is the right one.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.arguments import parser_for
from engine import MidtokenError
from lsp_server.commands.evaluation import Case, identifier_start, read_cases

_WORD = re.compile(r"\w+")
_PART = re.compile(r"\w*\Z")


def last_word(text: str, part: str) -> str | None:
    """The last word of ``text`` that begins with ``part`` and is longer."""
    words = [word for word in _WORD.findall(text) if word.startswith(part) and word != part]
    return words[-1] if words else None


def shares(cases: Sequence[Case], characters: int | None) -> tuple[float, float]:
    """Of the identifiers: the share that stands in the text before, and that the last word is. ``characters`` bounds
    the text.
    """
    known = right = 0
    for case in cases:
        text = case.prefix if characters is None else case.prefix[-characters:]
        match = _PART.search(text)
        assert match is not None
        word, before = match[0] + identifier_start(case.reference), text[: match.start()]
        known += word in _WORD.findall(before)
        right += last_word(before, match[0]) == word
    return known / len(cases), right / len(cases)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    parser = parser_for(__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--characters", type=int, help="how far up words count (default: all of the prefix)")
    options = parser.parse_args(arguments)
    try:
        cases = read_cases(options.cases.read_text(encoding="utf-8").splitlines(), str(options.cases))
    except (MidtokenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    inside = [case for case in cases if case.inside_identifier]
    if not inside:
        print(f"error: {options.cases} has no case inside an identifier", file=sys.stderr)
        return 1
    known, right = shares(inside, options.characters)
    print(f"{len(inside)} cases: {known:.1%} stand in the text before, {right:.1%} are the last word that begins so")
    return 0


if __name__ == "__main__":
    sys.exit(main())
