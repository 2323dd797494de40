"""An editor as a server sees it: one document, a change for each key, and a request for ghost text after each change.

There are two habits. ``vscode`` asks at once after a change and cancels its previous request. ``neovim`` waits until no
key came for 200 ms and cancels nothing. Both keep showing an item that fits the typed text until the next answer comes,
and then show the newest answer. Neither closes brackets by itself.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from benchmarks.keystrokes.server_process import Reply
from benchmarks.keystrokes.typing_model import Key

Habit = Literal["vscode", "neovim"]
NEOVIM_WAIT_S = 0.2
CONTEXT_CHARACTERS = 400
"""Characters before the cursor that are kept with a request."""


class Server(Protocol):
    """The server that is asked: our server's process, or a peer with the same interface."""

    def ask(self, method: str, params: Any) -> tuple[int, "asyncio.Future[Reply]"]:
        """Send a request. Returns its number, for `cancel`, and its future answer."""

    def notify(self, method: str, params: Any) -> None:
        """Send a notification."""

    def cancel(self, number: int) -> None:
        """Say that an answer is no longer wanted."""

    on_more: Callable[[dict[str, Any]], None]
    """Called when there is more to show than was answered, with the place and the version."""


@dataclass(slots=True)
class Request:
    """One question for ghost text. Times are `time.monotonic`; None is "never".

    ``shown`` is the ghost text of the answer, empty if there was none. ``stale`` says that a newer request had been
    sent when the answer came, or that this one was cancelled.
    """

    context: str
    sent_s: float
    answered_s: float | None = None
    cancelled_s: float | None = None
    stale: bool = False
    shown: str = ""
    again: bool = False
    """Asked without a key, because the server had more to show: no key waits for it."""


@dataclass(slots=True)
class TypingSession:
    """What happened while a text was typed, as seen by the client."""

    requests: list[Request] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    suggestions: int = 0
    """Different ghost texts that were shown."""
    followed: int = 0
    """Those of them that were typed along by at least one key."""
    withdrawn: int = 0
    """Those of them that another answer changed or removed although they still fitted."""
    wrong: int = 0
    """Characters shown that are not in the final text, counted when a ghost text appears."""


@dataclass(frozen=True, slots=True)
class Ghost:
    """A displayed item: where its range starts, the whole text, since when (the editor's clock), its command."""

    start: int
    text: str
    since_s: float
    followed: bool = False
    command: dict[str, Any] | None = None

    def rest(self, before: str) -> str:
        """What is left to show with ``before`` in front of the cursor; empty if it does not fit."""
        typed = before[self.start :]
        fits = self.start <= len(before) and self.text.startswith(typed)
        return self.text[len(typed) :] if fits else ""


class Editor:
    """One document in an editor. ``clock`` gives the time of the person who types."""

    def __init__(
        self,
        server: Server,
        uri: str,
        habit: Habit,
        session: TypingSession,
        clock: Callable[[], float] = time.monotonic,
        target: str = "",
    ) -> None:
        """``target`` is the final document, for judging what is shown; empty if nothing is judged."""
        self.before = ""
        self.after = ""
        self._server = server
        self._uri = uri
        self._habit = habit
        self._session = session
        self._clock = clock
        self._target = target
        self._version = 0
        self._ghost: Ghost | None = None
        self._pending: dict[int, Request] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        server.on_more = self._ask_again

    def open(self, before: str, after: str, language: str = "python") -> None:
        """Open the document with the cursor between the two."""
        self.before, self.after = before, after
        document = {"uri": self._uri, "languageId": language, "version": 0, "text": before + after}
        self._server.notify("textDocument/didOpen", {"textDocument": document})
        self._server.notify("midtoken/didFocus", self.place)  # as our clients do; others do not know it

    def move(self, index: int) -> None:
        """Move the cursor, and hide the ghost text."""
        text = self.before + self.after
        self.before, self.after, self._ghost = text[:index], text[index:], None

    def replace_all(self, text: str) -> None:
        """Change the whole document at once, as a formatter does; the cursor is at its end. Asks for nothing."""
        self.before, self.after, self._ghost = text, "", None
        self._change([{"text": text}])

    def close(self) -> None:
        """Close the document."""
        self._server.notify("textDocument/didClose", {"textDocument": {"uri": self._uri}})

    @property
    def busy(self) -> bool:
        """Whether something will still happen without another key."""
        return bool(self._answers) or self._timer is not None

    async def settle(self) -> None:
        """Wait until nothing more will happen."""
        while self.busy:
            await (asyncio.wait(self._answers) if self._answers else asyncio.sleep(0.01))

    @property
    def ghost_text(self) -> str:
        """What is shown behind the cursor; empty if nothing is."""
        return self._ghost.rest(self.before) if self._ghost else ""

    @property
    def visible_s(self) -> float:
        """How long it has been shown."""
        return self._clock() - self._ghost.since_s if self._ghost else 0.0

    def press(self, key: Key) -> None:
        """Make the key's change, tell the server, ask for ghost text as the editor's habit is."""
        self._session.keys.append(key)
        if key.kind == "dismiss":
            self._ghost = None
            return
        start, text, taken = len(self.before) - key.remove, key.insert, self._ghost
        if key.kind == "accept" and taken:
            start, text, self._ghost = taken.start, taken.text, None
        span = {"start": self._position(start), "end": self._position(len(self.before))}
        self.before = self.before[:start] + text
        self._change([{"range": span, "text": text}])
        if taken and taken.command and key.kind.startswith("accept"):
            self._report(taken, taken.command, whole=key.kind == "accept")
        self._follow(typed=not key.remove)
        self._ask_soon()

    @property
    def place(self) -> dict[str, Any]:
        """The cursor, as requests name it."""
        return {"textDocument": {"uri": self._uri}, "position": self._position(len(self.before))}

    def question(self, *, invoked: bool = False) -> dict[str, Any]:
        """The parameters of a request for ghost text at the cursor."""
        return {**self.place, "context": {"triggerKind": 1 if invoked else 2}}

    def _change(self, changes: list[dict[str, Any]]) -> None:
        self._version += 1
        document = {"uri": self._uri, "version": self._version}
        self._server.notify("textDocument/didChange", {"textDocument": document, "contentChanges": changes})

    def _report(self, ghost: Ghost, command: dict[str, Any], *, whole: bool) -> None:
        """Report that an item was inserted, by its command, or how much of it was."""
        if whole:
            self._server.ask("workspace/executeCommand", {k: v for k, v in command.items() if k != "title"})
            return
        item = {"insertText": ghost.text, "command": command}
        length = len((ghost.text.removesuffix(ghost.rest(self.before))).encode("utf-16-le")) // 2
        self._server.notify("textDocument/didPartiallyAcceptCompletion", {"item": item, "acceptedLength": length})

    def _follow(self, *, typed: bool) -> None:
        """Keep the ghost text if it fits the typed text, otherwise hide it. A deletion does not count as typing
        along.
        """
        ghost = self._ghost
        if ghost is None:
            return
        if not ghost.rest(self.before):
            self._ghost = None
        elif typed and not ghost.followed:
            self._session.followed += 1
            self._ghost = replace(ghost, followed=True)

    def _ask_soon(self) -> None:
        if self._habit == "neovim":
            if self._timer:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(NEOVIM_WAIT_S, self._ask)
            return
        for number, request in self._pending.items():
            if request.cancelled_s is None:
                self._server.cancel(number)
                request.cancelled_s = time.monotonic()
        self._ask()

    def _ask_again(self, place: dict[str, Any]) -> None:
        document = place["textDocument"]
        if document == {"uri": self._uri, "version": self._version} and place["position"] == self.place["position"]:
            self._ask(again=True)

    def _ask(self, *, again: bool = False) -> None:
        self._timer = None
        for older in self._pending.values():
            older.stale = True
        request = Request(self.before[-CONTEXT_CHARACTERS:], time.monotonic(), again=again)
        number, answer = self._server.ask("textDocument/inlineCompletion", self.question())
        self._session.requests.append(request)
        self._pending[number] = request
        task = asyncio.ensure_future(self._receive(number, request, answer, len(self.before)))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _receive(self, number: int, request: Request, answer: "asyncio.Future[Reply]", cursor: int) -> None:
        reply = await answer
        del self._pending[number]
        request.answered_s = reply.at_s
        request.stale |= reply.failed
        if request.stale:
            return
        result = reply.result or []
        items = result["items"] if isinstance(result, dict) else result
        ghost = self._ghost_of(items[0], request.context, cursor) if items else None
        request.shown = ghost.text[cursor - ghost.start :] if ghost else ""
        self._show(ghost)

    def _ghost_of(self, item: dict[str, Any], context: str, cursor: int) -> Ghost:
        start = cursor - _characters(context.rpartition("\n")[2], _units_between(item["range"]))
        return Ghost(start, item["insertText"], self._clock(), command=item.get("command"))

    def _show(self, ghost: Ghost | None) -> None:
        """Show the newest answer in place of the present ghost text."""
        shown, old = self._ghost, self.ghost_text
        new = ghost.rest(self.before) if ghost else ""
        if shown and ghost and old and new.startswith(old):
            self._ghost = replace(ghost, since_s=shown.since_s, followed=shown.followed)
            return
        self._session.withdrawn += bool(shown and old and shown.followed)
        self._session.suggestions += bool(new)
        self._judge(new)
        self._ghost = ghost if new else None

    def _judge(self, shown: str) -> None:
        """Count the wrong characters of a new ghost text. After a typo this cannot be judged."""
        if self._target.startswith(self.before):
            coming = self._target[len(self.before) :]
            agreed = next((at for at, (a, b) in enumerate(zip(shown, coming, strict=False)) if a != b), len(shown))
            self._session.wrong += len(shown) - agreed

    def _position(self, index: int) -> dict[str, int]:
        """A place before the cursor, in UTF-16 units."""
        line_start = self.before.rfind("\n", 0, index) + 1
        units = len(self.before[line_start:index].encode("utf-16-le")) // 2
        return {"line": self.before.count("\n", 0, line_start), "character": units}


def _units_between(span: dict[str, dict[str, int]]) -> int:
    assert span["start"]["line"] == span["end"]["line"], "an item's range must be on one line"
    return span["end"]["character"] - span["start"]["character"]


def _characters(line: str, units: int) -> int:
    """How many characters at the end of a line make ``units`` UTF-16 units."""
    count = 0
    while units > 0:
        count += 1
        units -= len(line[-count].encode("utf-16-le")) // 2
    return count
