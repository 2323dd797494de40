"""The text around the cursor that determines a completion, and what was typed between two such places."""

from dataclasses import dataclass

from lsp_server.documents.line_endings import to_engine
from lsp_server.settings import Settings

LOOK_BACK_CHARACTERS = 128
"""How many characters before the cursor a usable completion may have been asked for."""
PREFIX_CHARACTERS = 2000
SUFFIX_CHARACTERS = 500
"""Characters after the cursor that must be the same. Text further away may have changed: that would change a
completion little, a stable suggestion is worth more, and whole documents need not be kept in memory.
"""
CLOSERS = ")]}\"'`"
"""What editors insert after the cursor by themselves when the opening partner is typed."""
MOST_CLOSERS = 4


@dataclass(frozen=True, slots=True)
class Asker:
    """How a completion is wanted: from which model (a count of loaded ones), how many candidates, and whether by hand.

    Completions are withheld only from automatic requests.
    """

    settings: Settings
    model: int
    candidates: int
    automatic: bool

    def is_served_by(self, other: "Asker") -> bool:
        """Whether an answer to ``other`` has at least what this one wants."""
        if self.settings != other.settings or self.model != other.model:
            return False
        return other.candidates >= self.candidates and (self.automatic or not other.automatic)


@dataclass(frozen=True, slots=True)
class CursorContext:
    """Who asks, and the text around the cursor: ``prefix`` and ``suffix`` are the kept parts of all that is before and
    after it, ``position`` and ``after`` the lengths of the whole, in characters.
    """

    uri: str
    asker: Asker
    position: int
    after: int
    prefix: str
    suffix: str


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed between two places: ``text`` before the cursor, in the engine's form, and ``closed``, which the
    editor inserted after it.
    """

    text: str
    closed: str = ""

    def rest_of(self, completion: str) -> str | None:
        """The rest of a completion that was typed up to here. None if something else was, or may have been, typed."""
        if not completion.startswith(self.text):
            return None
        rest = completion[len(self.text) :]
        if not self.closed:
            return rest
        return rest.removesuffix(self.closed) if rest.endswith(self.closed) else None


def cursor_context(uri: str, asker: Asker, prefix: str, suffix: str) -> CursorContext:
    """The part of a document's text before and after the cursor that has to be kept."""
    kept = prefix[-PREFIX_CHARACTERS - LOOK_BACK_CHARACTERS :]
    return CursorContext(uri, asker, len(prefix), len(suffix), kept, suffix[:SUFFIX_CHARACTERS])


def typed_since(then: CursorContext, now: CursorContext) -> Typed | None:
    """What was typed between two places; None if typing does not lead from the one to the other."""
    count = now.position - then.position
    if then.uri != now.uri or not 0 <= count <= LOOK_BACK_CHARACTERS:
        return None
    before = now.prefix[: len(now.prefix) - count]
    if before[-PREFIX_CHARACTERS:] != then.prefix[-PREFIX_CHARACTERS:]:
        return None
    closers = _closers_between(then.suffix, now.suffix)
    return None if closers is None else Typed(to_engine(now.prefix[len(now.prefix) - count :]), now.suffix[:closers])


def typed_into(then: CursorContext, text: str) -> str | None:
    """What was put in at a place, as the engine has it, to make a whole document ``text`` of the one that it was in;
    None if it is not so.
    """
    count = len(text) - then.position - then.after
    if not 0 <= count <= LOOK_BACK_CHARACTERS:
        return None
    end = then.position + count
    if not text.endswith(then.prefix, 0, then.position) or not text.startswith(then.suffix, end):
        return None
    return to_engine(text[then.position : end])


def agree(written: str, typed: str) -> bool:
    """Whether a completion that begins with ``written`` may be what is being typed.

    Closers at the end of ``typed`` may come from the editor, and are then after the cursor.
    """
    return _begin_alike(written, typed) or _begin_alike(written, typed.rstrip(CLOSERS))


def _closers_between(then: str, now: str) -> int | None:
    """How many closers ``now`` has before ``then``, both cut to `SUFFIX_CHARACTERS`; None if they differ otherwise."""
    for count in range(MOST_CLOSERS + 1):
        if now[count:SUFFIX_CHARACTERS] == then[: SUFFIX_CHARACTERS - count]:
            return count
        if now[count : count + 1] not in CLOSERS or len(now) <= count:
            return None
    return None


def _begin_alike(one: str, other: str) -> bool:
    return one.startswith(other) if len(one) > len(other) else other.startswith(one)
