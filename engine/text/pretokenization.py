"""Where pre-tokens can end: which positions of a text stay token boundaries whatever is typed after them.

A tokenizer cuts text into pre-tokens with regular expressions, and no token spans two of them. Typing may move such a
cut: ``don`` + ``'`` is two pre-tokens, ``don't`` may be one. This module analyses the expressions themselves, so the
answer is certain and needs only two characters.

The automaton of an expression (Glushkov 1961) has one state for every character class that it contains, and an edge
between two that can be neighbours in a match. If no edge leads from a class that holds ``a`` to one that holds ``b``,
then no match contains ``a`` directly before ``b``, in any text. If also ``a`` or ``b`` alone can always be matched,
they cannot both be in a leftover between two matches. Such a pair *separates*: between ``a`` and ``b`` there is a
pre-token boundary in every text. Matching runs from left to right and looks at most one character past the boundary
(wider look-ahead is counted as part of the match), and that character is there already. Expressions with look-behind
are not understood, so nothing after the boundary depends on what is before it. So everything before the boundary stays,
and matching starts again after it.

For example, in ``\\p{L}+| ?[^\\s\\p{L}]+|\\s+`` the pair (``n``, ``(``) separates: a match goes from letters to
nothing else. The pair (space, ``(``) does not: ``" ?"`` may be followed by the class that holds ``(``.

All answers err on the safe side: an unknown class may hold every character, and an expression that is not understood
separates nothing.
"""

import unicodedata
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.errors import ContractError
from engine.text.pattern_classes import UnknownSyntax
from engine.text.spellings import SPACE_MARK
from engine.text.split_pattern import Pattern, parse_pattern

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""Where the ByteLevel pre-tokenizer splits by default."""
_LOSSY = frozenset({"Whitespace", "WhitespaceSplit", "BertPreTokenizer", "CharDelimiterSplit"})


class SplitRule(Protocol):
    """One pre-tokenizer of a sequence; it cuts the pieces that the steps before it leave."""

    @property
    def appends_only(self) -> bool:
        """Whether text appended to a piece only ever extends the last of its pre-tokens."""
        ...

    def separates(self, left: str, right: str) -> bool:
        """Whether there is a boundary between these two characters in every text in which they are neighbours."""
        ...

    def passes(self, left: str, right: str) -> bool:
        """Whether a cut between these two characters, if a later step makes one, does not change the boundaries of this
        step.

        The boundaries on the left must not depend on what follows ``right``. Those on the right must be the same if the
        text begins with ``right``.
        """
        ...

    def restarts(self, piece: str, at: int) -> bool:
        """Whether a pre-token that begins with ``piece`` continues in the same way if it begins at ``piece[at]``
        instead.
        """
        ...

    def signature(self, character: str) -> Hashable:
        """Everything that the step distinguishes about a character. Characters with the same signature are cut alike in
        every text.
        """
        ...


@dataclass(frozen=True, slots=True)
class PatternStep:
    """A Split step: every match is a pre-token, and so is every leftover between two matches."""

    pattern: Pattern

    @property
    def appends_only(self) -> bool:
        return self.pattern.appends_only

    def separates(self, left: str, right: str) -> bool:
        return self.pattern.separates(left, right)

    def passes(self, left: str, right: str) -> bool:
        return self.pattern.apart(left, right) or self.pattern.runs_on(left, right)

    def restarts(self, piece: str, at: int) -> bool:
        return self.pattern.restarts(piece, at)

    def signature(self, character: str) -> Hashable:
        return self.pattern.signature(character)


@dataclass(frozen=True, slots=True)
class DigitsStep:
    """Separates digits from everything else and, with ``individual``, from each other."""

    individual: bool
    appends_only: bool = True

    def separates(self, left: str, right: str) -> bool:
        if not (_assigned(left) and _assigned(right)):
            return False
        numeric = unicodedata.category(left)[0] == "N", unicodedata.category(right)[0] == "N"
        return numeric[0] != numeric[1] or (self.individual and numeric[0])

    def passes(self, left: str, right: str) -> bool:
        return True

    def restarts(self, piece: str, at: int) -> bool:
        return True

    def signature(self, character: str) -> Hashable:
        return character if not _assigned(character) else unicodedata.category(character)[0] == "N"


@dataclass(frozen=True, slots=True)
class MetaspaceStep:
    """A pre-token begins at every space, here spelled ``▁``."""

    appends_only: bool = True

    def separates(self, left: str, right: str) -> bool:
        return right == SPACE_MARK

    def passes(self, left: str, right: str) -> bool:
        return True

    def restarts(self, piece: str, at: int) -> bool:
        return True

    def signature(self, character: str) -> Hashable:
        return character == SPACE_MARK


@dataclass(frozen=True, slots=True)
class OpaqueStep:
    """A pre-tokenizer that is not understood: nothing is known about its boundaries."""

    appends_only: bool = False

    def separates(self, left: str, right: str) -> bool:
        return False

    def passes(self, left: str, right: str) -> bool:
        return False

    def restarts(self, piece: str, at: int) -> bool:
        return False

    def signature(self, character: str) -> Hashable:
        return character


@dataclass(frozen=True)
class Pretokenization:
    """The steps of a tokenizer in order. ``spell`` maps characters of the text to those that the steps see."""

    steps: tuple[SplitRule, ...]
    spell: Mapping[str, str] = field(default_factory=dict)

    @property
    def appends_only(self) -> bool:
        """Whether typing only ever extends the last pre-token. Without any step, all text is one pre-token."""
        return all(step.appends_only for step in self.steps)

    def separates(self, left: str, right: str) -> bool:
        """Whether a boundary between ``left`` and ``right`` is certain, whatever surrounds them and is typed later.

        A step cuts inside the pieces that earlier steps leave, so the cut must not change the boundaries of those
        steps.
        """
        left, right = self.spell.get(left, left), self.spell.get(right, right)
        for step in self.steps:
            if step.separates(left, right):
                return True
            if not step.passes(left, right):
                return False
        return False

    def separated(self, text: str) -> Iterator[int]:
        """The positions of ``text`` at which the characters around it separate, from the last to the first."""
        if not self.steps or isinstance(self.steps[0], OpaqueStep):
            return
        for position in range(len(text) - 1, 0, -1):
            if self.separates(text[position - 1], text[position]):
                yield position

    def signature(self, character: str) -> Hashable:
        """Everything that the steps distinguish about a character of the text."""
        spelled = self.spell.get(character, character)
        return tuple([step.signature(spelled) for step in self.steps])

    def restarts(self, piece: str, at: int) -> bool:
        """Whether a pre-token that begins with ``piece`` may be encoded from ``piece[at]`` on as if it began there."""
        if not self.steps:
            return True
        for character, spelling in self.spell.items():
            piece = piece.replace(character, spelling)
        return len(self.steps) == 1 and self.steps[0].restarts(piece, at)


def parse_pretokenization(config: Any, spell: Mapping[str, str] | None = None) -> Pretokenization:
    """The steps of the ``pre_tokenizer`` part of a tokenizer.json. Raises `ContractError` if it would lose text."""
    return Pretokenization(tuple(_steps(config)), dict(spell or {}))


def _steps(config: Any) -> Sequence[SplitRule]:
    if config is None:
        return ()
    name = config["type"]
    if name in _LOSSY:
        raise ContractError(f"the {name} pre-tokenizer drops spaces; completions need every byte")
    match name:
        case "Sequence":
            return [step for member in config["pretokenizers"] for step in _steps(member)]
        case "ByteLevel":
            return (PatternStep(parse_pattern(GPT2_PATTERN)),) if config.get("use_regex", True) else ()
        case "Digits":
            return (DigitsStep(bool(config.get("individual_digits"))),)
        case "Metaspace":
            return (MetaspaceStep(),) if config.get("split", True) else ()
        case "Split":
            return _split(config)
    return (OpaqueStep(),)


def _split(config: Any) -> Sequence[SplitRule]:
    pattern, behavior, invert = config["pattern"], config["behavior"], bool(config.get("invert"))
    if behavior == "Removed" and not invert:
        raise ContractError("the Split pre-tokenizer removes what it matches; completions need every byte")
    # "Removed", inverted, keeps the matches and drops the leftovers. This is safe only if there are no leftovers.
    if not ((behavior == "Isolated" and not invert) or (behavior == "Removed" and invert)):
        return (OpaqueStep(),)
    expression = pattern["Regex"] if "Regex" in pattern else _quoted(pattern["String"])
    try:
        return (PatternStep(parse_pattern(expression)),)
    except UnknownSyntax:
        return (OpaqueStep(),)


def _quoted(text: str) -> str:
    return "".join(rf"\x{{{ord(character):x}}}" for character in text)


def _assigned(character: str) -> bool:
    """Whether the character is so old that every version of Unicode in use agrees about it."""
    return unicodedata.category(character) != "Cn"
