"""Earlier completions, kept for the next keystrokes.

If the user types along a completion, the rest of it is shown, without a model call. If the user deletes a character,
the earlier completion comes back. The cache is searched before the debounce.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace

from engine import Completion
from lsp_server.scheduling.cursor_context import CursorContext, Typed, typed_since

KEPT = 250
MORE_FROM_CHARACTERS = 16
"""If a completion was cut short by length or time, its rest is shown only while it has at least this many
characters. After that, the model is asked for more.
"""
_FINISHED = ("end", "stop-string", "line", "block", "doubt", "cut")


@dataclass(frozen=True, slots=True)
class _Made:
    cursor: CursorContext
    completions: tuple[Completion, ...]

    @property
    def characters(self) -> int:
        texts = sum(len(completion.text) for completion in self.completions)
        return len(self.cursor.prefix) + len(self.cursor.suffix) + texts


class CompletionCache:
    """The completions that were last made or used, at most `KEPT` of them."""

    def __init__(self) -> None:
        self._made: OrderedDict[CursorContext, _Made] = OrderedDict()

    def remember(self, cursor: CursorContext, completions: tuple[Completion, ...]) -> None:
        """Keep an answer. An empty answer is kept too."""
        self._made[cursor] = _Made(cursor, completions)
        self._made.move_to_end(cursor)
        if len(self._made) > KEPT:
            self._made.popitem(last=False)

    def look_up(self, cursor: CursorContext) -> tuple[Completion, ...] | None:
        """What is left of an earlier answer whose best completion was typed up to here; None if there is none.

        Empty if it is known that there is no completion here. If several candidates were asked for by hand, any of them
        may have been typed, for example because a part of it was accepted.
        """
        for made in reversed(self._made.values()):
            if not cursor.asker.is_served_by(made.cursor.asker) or made.cursor.uri != cursor.uri:
                continue
            typed = typed_since(made.cursor, cursor)
            if typed is None:
                continue
            any_of = _rests if typed.text and not made.cursor.asker.automatic else rest_of
            rest = any_of(made.completions, typed)
            if rest or (not made.completions and typed == Typed("") and made.cursor.asker == cursor.asker):
                self._made.move_to_end(made.cursor)
                return rest[: cursor.asker.candidates]
        return None

    def prefer(self, uri: str, text: str) -> None:
        """The user chose this completion. From now on it is the best one of the latest answer that has it in this
        document.
        """
        for cursor, made in reversed(self._made.items()):
            chosen = [completion for completion in made.completions if completion.text == text]
            if made.cursor.uri == uri and chosen:
                others = tuple(completion for completion in made.completions if completion.text != text)
                self._made[cursor] = replace(made, completions=(*chosen, *others))
                return

    def forget(self, uri: str) -> None:
        """The document was closed."""
        for cursor in [cursor for cursor in self._made if cursor.uri == uri]:
            del self._made[cursor]

    @property
    def characters(self) -> int:
        """Number of characters of documents and completions in all entries."""
        return sum(made.characters for made in self._made.values())

    def __len__(self) -> int:
        return len(self._made)


def rest_of(completions: tuple[Completion, ...], typed: Typed, *, goes_on: bool = False) -> tuple[Completion, ...]:
    """What is left of an answer after something was typed; empty unless the best completion was typed and continues.

    With ``goes_on`` more is being written, so that a short rest is worth showing too.
    """
    return _rests(completions, typed, goes_on) if completions and _rest(completions[0], typed, goes_on) else ()


def _rests(completions: tuple[Completion, ...], typed: Typed, goes_on: bool = False) -> tuple[Completion, ...]:
    rests = (_rest(completion, typed, goes_on) for completion in completions)
    return tuple(rest for rest in rests if rest)


def _rest(completion: Completion, typed: Typed, goes_on: bool) -> Completion | None:
    text = typed.rest_of(completion.text)
    if not text:
        return None
    is_enough = goes_on or completion.stop in _FINISHED or not typed.text
    return replace(completion, text=text) if is_enough or len(text) >= MORE_FROM_CHARACTERS else None
