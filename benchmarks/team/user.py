"""One simulated user: types passages at human speed and asks for a completion after each key, as an editor does.

The next key cancels the request before it. A key that agrees with the ghost text on show takes it along and asks
nothing, as ``midtoken serve`` does. With `User.type_without_pauses` the user types a few characters, waits for the
answer and goes on at once: so the service never waits for the user, and what is measured is its throughput.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.keystrokes.passages import Passage
from benchmarks.keystrokes.typing_model import Hand, Typist
from benchmarks.team.stream_client import Reply, StreamClient
from engine import CompletionRequest, StopParams
from lsp_server.remote.outgoing import outgoing
from lsp_server.team.protocol import TeamRequest, request_json

STEP = 4
"""Characters between two requests of a user without pauses."""
BUDGET_MS = 1500.0
"""The default of an editor (`lsp_server.settings`)."""
OPENING_MS = 30_000.0
TOGETHER = 8
"""Documents that are opened at once before a measurement."""
STOP = StopParams(min_confidence=0.15)
"""As an editor asks, by default: one line."""


@dataclass(slots=True)
class Record:
    """What happened to one user's requests. ``waited_s`` has, for each one that the next key cancelled, how long it had
    run by then.
    """

    replies: list[Reply] = field(default_factory=list)
    waited_s: list[float] = field(default_factory=list)
    keys: int = 0
    typed_through: int = 0


class User:
    """Types the lines of ``passage`` in a document that nobody else has, until it is cancelled."""

    def __init__(self, name: str, passage: Passage, client: StreamClient, model: str) -> None:
        self._name = name
        self._passage = passage
        self._client = client
        self._model = model
        self.record = Record()

    async def open(self) -> None:
        """Have the document read, however long it takes: an editor reads ahead when a document is opened."""
        await self._ask("", OPENING_MS)

    async def type(self, slow: float = 1.0) -> None:
        """Type as people do, ``slow`` times slower."""
        passage = self._passage
        typist = Typist(passage.text, Hand(), self._name, passage.indent, passage.before.rpartition("\n")[2])
        ghost, shown_s = "", 0.0
        asked: asyncio.Task[Reply] | None = None
        began = 0.0
        try:
            while not typist.done:
                await asyncio.sleep(typist.pause() * slow)
                now = time.perf_counter()
                if asked is not None and asked.done():
                    ghost, shown_s = _ghost(asked.result()), began + asked.result().seconds
                    self._over(asked, now - began)
                    asked = None
                key = typist.press(ghost, (now - shown_s) / slow if ghost else 0.0)
                self.record.keys += 1
                if key.insert and not key.remove and ghost.startswith(key.insert) and ghost != key.insert:
                    ghost = ghost[len(key.insert) :]
                    self.record.typed_through += 1
                    continue
                ghost = ""
                self._over(asked, now - began)
                began = now
                asked = asyncio.create_task(self._ask(typist.written))
        finally:
            self._over(asked, time.perf_counter() - began)

    async def type_without_pauses(self) -> None:
        """Ask again as soon as there is an answer."""
        for end in range(0, len(self._passage.text), STEP):
            self.record.replies.append(await self._ask(self._passage.text[:end]))

    def _over(self, asked: "asyncio.Task[Reply] | None", waited_s: float) -> None:
        """Record what came of a request, or cancel it."""
        if asked is not None and asked.done():
            self.record.replies.append(asked.result())
        elif asked is not None:
            asked.cancel()
            self.record.waited_s.append(waited_s)

    async def _ask(self, written: str, budget_ms: float = BUDGET_MS) -> Reply:
        return await self._client.complete(body_of(self._passage, written, self._model, budget_ms), self._name)


def body_of(passage: Passage, written: str, model: str, budget_ms: float = BUDGET_MS) -> Mapping[str, Any]:
    """What the editor's client sends after ``written`` was typed."""
    request = CompletionRequest(
        passage.before + written, passage.after, language="python", budget_ms=budget_ms, stop=STOP
    )
    return request_json(TeamRequest(outgoing(request, sends_path=False), model, stream=True))


def _ghost(reply: Reply) -> str:
    completions = reply.answer.get("completions") or [{"text": ""}]
    text: str = completions[0]["text"]
    return text


async def while_typing(users: Sequence[User], seconds: float, slow: float | None, begin: Callable[[], None]) -> None:
    """Let all users open their documents, call ``begin``, and let them type for ``seconds``; ``slow`` None: without
    pauses, and until each of them had an answer.
    """
    for first in range(0, len(users), TOGETHER):
        await asyncio.gather(*(user.open() for user in users[first : first + TOGETHER]))
    begin()
    tasks = [asyncio.create_task(user.type_without_pauses() if slow is None else user.type(slow)) for user in users]
    try:
        await asyncio.sleep(seconds)
        while slow is None and not all(user.record.replies for user in users):
            await asyncio.sleep(0.01)
        for task in tasks:
            if task.done():
                await task  # it failed, or has typed everything
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
