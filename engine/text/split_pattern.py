"""Regular expressions of pre-tokenizers, read far enough to know which characters can be neighbours in a match.

The syntax is Oniguruma's, as far as tokenizers use it: classes (also ``\\p{..}`` and negated), groups, ``(?i:``,
quantifiers, look-ahead. Everything else raises `UnknownSyntax`. The result is the position automaton (Glushkov 1961)
over the character classes; `engine.text.pretokenization` says what it proves.
"""

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace

from engine.text.character_tests import Test, ignore_case, one_of
from engine.text.pattern_classes import ClassReader, UnknownSyntax


@dataclass(frozen=True, slots=True)
class _Solo:
    """The class ``at`` can match one character alone, if no class of ``unless`` can hold that character."""

    at: int
    unless: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Fragment:
    """A part of the expression, its classes by number: those it can begin and end with.

    If ``skip`` is None, it is not certain that the part can be left out. Otherwise it can, unless one of these classes
    holds the character. ``single`` says that the part is one class.
    """

    first: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    nullable: bool = True
    skip: frozenset[int] | None = frozenset()
    solo: tuple[_Solo, ...] = ()
    single: bool = False


@dataclass(frozen=True, slots=True)
class _Item:
    """A quantified part: ``most`` None is unlimited."""

    part: _Fragment
    least: int = 1
    most: int | None = 1
    greedy: bool = True


@dataclass(frozen=True)
class Pattern:
    """The automaton of an expression: its classes, which may follow which, and its alternatives."""

    classes: tuple[Test, ...]
    follow: tuple[frozenset[int], ...]
    solo: tuple[_Solo, ...]
    alternatives: tuple[tuple[_Item, ...], ...]
    _may: dict[str, int] = field(default_factory=dict, repr=False)
    _followers: dict[str, int] = field(default_factory=dict, repr=False)
    _signatures: dict[str, Hashable] = field(default_factory=dict, repr=False)

    def separates(self, left: str, right: str) -> bool:
        """Whether no match has ``left`` directly before ``right``, and one of the two is always part of a match."""
        return self.apart(left, right) and (self.always_matched(left) or self.always_matched(right))

    def apart(self, left: str, right: str) -> bool:
        """Whether no attempt to match ever gets from ``left`` to a directly following ``right``."""
        followers = self._followers.get(left)
        if followers is None:
            followers = sum(1 << at for at in {f for at in self._holding(left) for f in self.follow[at]})
            self._followers[left] = followers
        held = self._may.get(right)
        if held is None:
            held = self._may[right] = sum(1 << at for at in self._holding(right))
        return not followers & held

    def runs_on(self, left: str, right: str) -> bool:
        """Whether the only way from ``left`` to ``right`` is inside the class with which a match at ``right`` begins.

        Then the rest of the match is the same if the match begins there. The expression must be one that
        `appends_only`.
        """
        begins = [items[0] for items in self.alternatives]
        number = self._chosen(right, begins) if self.appends_only else None
        if number is None or number == len(begins) or begins[number].most is not None:
            return False
        loop = next(iter(begins[number].part.first))
        targets = set(self._holding(right))
        return all(at == target == loop for at in self._holding(left) for target in self.follow[at] & targets)

    def signature(self, character: str) -> Hashable:
        """Which classes hold the character; the character itself if one of the classes is unknown."""
        found = self._signatures.get(character)
        if found is None:
            held = [test(character) for test in self.classes]
            known = None not in held
            found = sum(1 << at for at, holds in enumerate(held) if holds) if known else character
            self._signatures[character] = found
        return found

    def always_matched(self, character: str) -> bool:
        """Whether a match can begin at this character whatever follows it."""
        return any(
            self.classes[solo.at](character) is True
            and all(self.classes[other](character) is False for other in solo.unless)
            for solo in self.solo
        )

    @property
    def appends_only(self) -> bool:
        """Whether appended text only ever extends the last match.

        This holds if every alternative is one class, once or more, followed by optional classes. The first character
        then determines the alternative, and each class takes as much as it can. So a match that ended before the end of
        the text still ends there.
        """
        return all(
            bool(items)
            and items[0].part.single
            and items[0].least == 1
            and all(item.part.single and item.least == 0 for item in items[1:])
            and all(item.greedy for item in items)
            for items in self.alternatives
        )

    def restarts(self, piece: str, at: int) -> bool:
        """Whether matching continues in the same way if it starts at ``piece[at]`` instead of at the beginning of
        ``piece``.

        True if all characters so far are in the unlimited class that the chosen alternative begins with, or if no class
        holds them. The expression must be one that `appends_only`.
        """
        begins = [items[0] for items in self.alternatives]
        chosen = {self._chosen(character, begins) for character in set(piece[: at + 1])}
        if not self.appends_only or len(chosen) != 1:
            return False
        number = chosen.pop()
        return number is not None and (number == len(begins) or begins[number].most is None)

    def _chosen(self, character: str, begins: list[_Item]) -> int | None:
        """The index of the alternative that a match beginning here takes; the number of alternatives if there is none;
        None if unknown.
        """
        for number, item in enumerate(begins):
            holds = self.classes[next(iter(item.part.first))](character) if item.part.single else None
            if holds is not False:
                return number if holds else None
        return len(begins)

    def _holding(self, character: str) -> list[int]:
        return [number for number, test in enumerate(self.classes) if test(character) is not False]


def parse_pattern(expression: str) -> Pattern:
    """The automaton of ``expression``. Raises `UnknownSyntax`."""
    parser = _Parser(expression)
    alternatives = parser.alternatives()
    if parser.at < len(expression):
        raise UnknownSyntax(expression[parser.at :])
    whole = parser.joined(alternatives)
    # An expression that can match the empty text may prefer that. Then it is not certain that a character is matched.
    solo = () if whole.nullable else whole.solo
    return Pattern(tuple(parser.classes), tuple(map(frozenset, parser.follow)), solo, tuple(map(tuple, alternatives)))


class _Parser(ClassReader):
    """Recursive descent over the expression. Classes are numbered in the order in which they come."""

    def __init__(self, expression: str) -> None:
        super().__init__(expression)
        self.classes: list[Test] = []
        self.follow: list[set[int]] = []
        self.ignoring_case = False

    def alternatives(self) -> list[list[_Item]]:
        """Everything up to the end or a closing parenthesis."""
        found: list[list[_Item]] = [[]]
        while self.at < len(self.text) and self.text[self.at] != ")":
            if self.takes("|"):
                found.append([])
            elif self.takes("(?i)"):
                self.ignoring_case = True
            else:
                found[-1].append(self._quantified(self._part()))
        return found

    def joined(self, alternatives: list[list[_Item]]) -> _Fragment:
        """One fragment of all alternatives."""
        branches = [self._sequence(items) for items in alternatives]
        skips = [branch.skip for branch in branches if branch.skip is not None]
        return _Fragment(
            first=_union(branch.first for branch in branches),
            last=_union(branch.last for branch in branches),
            nullable=any(branch.nullable for branch in branches),
            skip=_union(skips) if skips else None,
            solo=tuple(solo for branch in branches for solo in branch.solo),
            single=len(branches) == 1 and len(alternatives[0]) == 1 and branches[0].single,
        )

    def _sequence(self, items: list[_Item]) -> _Fragment:
        whole = _Fragment()
        for item in items:
            whole = self._concatenated(whole, self._repeated(item))
        return whole if len(items) == 1 else replace(whole, single=False)

    def _concatenated(self, left: _Fragment, right: _Fragment) -> _Fragment:
        for at in left.last:
            self.follow[at] |= right.first
        solo: list[_Solo] = []
        if right.skip is not None:
            solo += [_Solo(s.at, s.unless | right.skip) for s in left.solo]
        if left.skip is not None:
            solo += [_Solo(s.at, s.unless | left.skip) for s in right.solo]
        return _Fragment(
            first=left.first | right.first if left.nullable else left.first,
            last=left.last | right.last if right.nullable else right.last,
            nullable=left.nullable and right.nullable,
            skip=None if left.skip is None or right.skip is None else left.skip | right.skip,
            solo=tuple(solo),
            single=right.single,
        )

    def _repeated(self, item: _Item) -> _Fragment:
        part = item.part
        if item.most is None or item.most > 1:
            for at in part.last:
                self.follow[at] |= part.first
        # It is certain that a part is left out only if it cannot take the character, because it may be possessive.
        return replace(
            part,
            nullable=part.nullable or item.least == 0,
            skip=part.first if item.least == 0 else part.skip,
            solo=part.solo if item.least <= 1 else (),
            single=part.single and item.least == 1 and item.most == 1,
        )

    def _part(self) -> _Fragment:
        if self.takes("("):
            return self._group()
        if self.takes("$"):
            return _Fragment(skip=None)
        if self.takes("["):
            return self._class(self.bracket())
        if self.takes("."):
            return self._class(lambda character: None if character == "\n" else True)
        if self.text[self.at] == "\\":
            return self._escape()
        if self.text[self.at] in "^*+?{":
            raise UnknownSyntax(self.text[self.at :])
        self.at += 1
        return self._class(one_of(self.text[self.at - 1]))

    def _group(self) -> _Fragment:
        outer = self.ignoring_case
        ahead = self.takes("?=") or self.takes("?!")
        if not ahead and self.takes("?i:"):
            self.ignoring_case = True
        elif not ahead and not self.takes("?:") and self.text[self.at : self.at + 1] == "?":
            raise UnknownSyntax(self.text[self.at :])
        alternatives = self.alternatives()
        if not self.takes(")"):
            raise UnknownSyntax("a parenthesis is open")
        self.ignoring_case = outer
        inner = self.joined(alternatives)
        if not ahead:
            return inner
        narrow = all(
            len(items) == 1 and items[0].part.single and items[0].least == items[0].most == 1 for items in alternatives
        )
        # Look-ahead of one character is harmless. Wider look-ahead counts as if it consumed the characters.
        return _Fragment(skip=None) if narrow else replace(inner, nullable=True, skip=None, solo=(), single=False)

    def _quantified(self, part: _Fragment) -> _Item:
        match = re.compile(r"(?:([*+?])|\{(\d+)(,?)(\d*)\})([?+]?)").match(self.text, self.at)
        if not match:
            return _Item(part)
        self.at = match.end()
        sign, low, comma, high, suffix = match.groups()
        if sign:
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        else:
            least, most = int(low), (int(high) if high else None) if comma else int(low)
        # A "+" after a quantifier is possessive or a repetition, depending on the quantifier. We assume the wider
        # meaning.
        return _Item(part, least, None if suffix == "+" else most, suffix == "")

    def _escape(self) -> _Fragment:
        if self.text.startswith(("\\z", "\\Z"), self.at):
            self.at += 2
            return _Fragment(skip=None)
        return self._class(self.escaped())

    def _class(self, test: Test) -> _Fragment:
        number = len(self.classes)
        self.classes.append(ignore_case(test) if self.ignoring_case else test)
        self.follow.append(set())
        here = frozenset({number})
        return _Fragment(here, here, nullable=False, skip=None, solo=(_Solo(number, frozenset()),), single=True)


def _union(sets: Iterable[frozenset[int]]) -> frozenset[int]:
    return frozenset().union(*sets)
