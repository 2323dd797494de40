"""Completions that were shown, kept for the next keystrokes.

Someone who types on along a completion must see the rest of it, not another one, and needs no model for that; who
deletes a character again gets back what was there. Looked up before any waiting is done.
"""

from collections import deque
from dataclasses import dataclass, replace

from engine import Completion
from lsp_server.settings import Settings

KEPT = 100
LOOK_BACK_CHARACTERS = 128
"""How far behind the cursor a completion may have been asked for."""
PREFIX_CHARACTERS = 2000
SUFFIX_CHARACTERS = 500
"""Text around the cursor that must be the same. What lies further off may have changed: it would change a completion
little, and a suggestion that stays is worth more; documents are not kept alive for it either."""
_FINISHED = ("end", "stop-string", "line", "block")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A place as far as it decides about a completion: who asks, and the text around the cursor."""

    uri: str
    settings: Settings
    candidates: int
    position: int
    prefix: str
    suffix: str


def surroundings(uri: str, settings: Settings, candidates: int, prefix: str, suffix: str) -> Surroundings:
    """Of a document's text before and after the cursor, what has to be kept."""
    kept = prefix[-PREFIX_CHARACTERS - LOOK_BACK_CHARACTERS :]
    return Surroundings(uri, settings, candidates, len(prefix), kept, suffix[:SUFFIX_CHARACTERS])


@dataclass(frozen=True, slots=True)
class _Shown:
    where: Surroundings
    completions: tuple[Completion, ...]


class TypeThrough:
    """The last completions that were shown, newest first."""

    def __init__(self) -> None:
        self._shown: deque[_Shown] = deque(maxlen=KEPT)

    def remember(self, where: Surroundings, completions: tuple[Completion, ...]) -> None:
        """Keep an answer. Those that length or time broke off are not kept: more can be said a keystroke later."""
        if completions and completions[0].stop in _FINISHED:
            self._shown.appendleft(_Shown(where, completions))

    def look_up(self, where: Surroundings) -> tuple[Completion, ...]:
        """What is left of an earlier answer whose best completion was followed up to here; empty if there is none."""
        for shown in self._shown:
            typed = _typed_since(shown.where, where)
            if typed is None or not _goes_on(shown.completions[0], typed):
                continue
            return tuple(replace(c, text=c.text[len(typed) :]) for c in shown.completions if _goes_on(c, typed))
        return ()

    def __len__(self) -> int:
        return len(self._shown)

    def forget(self, uri: str) -> None:
        """The document was closed."""
        self._shown = deque((shown for shown in self._shown if shown.where.uri != uri), KEPT)


def _typed_since(then: Surroundings, now: Surroundings) -> str | None:
    """The characters typed between two places, or None where the one does not follow from the other by typing."""
    count = now.position - then.position
    if not 0 <= count <= LOOK_BACK_CHARACTERS:
        return None
    if replace(now, position=0, prefix="") != replace(then, position=0, prefix=""):
        return None
    before = now.prefix[: len(now.prefix) - count]
    if before[-PREFIX_CHARACTERS:] != then.prefix[-PREFIX_CHARACTERS:]:
        return None
    return now.prefix[len(now.prefix) - count :]


def _goes_on(completion: Completion, typed: str) -> bool:
    return completion.text.startswith(typed) and len(completion.text) > len(typed)
