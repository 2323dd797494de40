"""A GPU that computes nothing: it shares passes among requests as an engine would, and waits as long as they take."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from benchmarks.team.gpu_cost import GpuCost

POSITIONS = 1500
"""Tokens of a prompt."""
TYPED = 8
"""Of those, the tokens that are new since the last request of its document."""
WRITTEN = 12
"""Tokens of a completion: a line."""
CHUNK = 512
"""Tokens of prompts that a pass reads, all requests together."""
MOST_ROWS = 64
OPENING = "opening"
"""The language of a request that only makes a document known, as if it had been read before."""


@dataclass(slots=True, eq=False)
class Sequence:
    """One request: prompt tokens that have to be read, tokens that have to be written, and the passes so far."""

    unread: int
    unwritten: int = WRITTEN
    passes: int = 0
    rows: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)


class WaitingGpu:
    """Runs the passes of all requests, one after the other: a token of each that writes, and up to `CHUNK` tokens of
    prompts. ``wait`` passes the time of a pass.
    """

    def __init__(self, cost: GpuCost, wait: Callable[[float], Awaitable[None]], documents: int | None = None) -> None:
        """``documents`` have room for keys and values (None: as many as fit); the one used longest ago gives way."""
        self._cost = cost
        self._wait = wait
        self._room = cost.documents(POSITIONS) if documents is None else documents
        self._read: OrderedDict[str, None] = OrderedDict()
        self._active: list[Sequence] = []
        self._loop: asyncio.Task[None] | None = None

    async def complete(self, session: str) -> tuple[Sequence, int]:
        """Complete one request of a document. Returns it with how many of its prompt's tokens were in the cache."""
        reused = POSITIONS - TYPED if session in self._read else 0
        sequence = Sequence(POSITIONS - reused)
        self._active.append(sequence)
        if self._loop is None:
            self._loop = asyncio.create_task(self._run())
        try:
            await sequence.done.wait()
        finally:
            if sequence in self._active:  # cancelled
                self._active.remove(sequence)
        self.know(session)
        return sequence, reused

    def know(self, session: str) -> None:
        """Have the keys and values of a document from now on."""
        self._read[session] = None
        self._read.move_to_end(session)
        if len(self._read) > self._room:
            self._read.popitem(last=False)

    async def _run(self) -> None:
        while self._active:
            writing = [each for each in self._active if not each.unread][:MOST_ROWS]
            left = CHUNK
            reading: list[tuple[Sequence, int]] = []
            for each in self._active:
                if each.unread and left:
                    reading.append((each, min(each.unread, left)))
                    left -= reading[-1][1]
            await self._wait(self._cost.pass_s(len(writing) + CHUNK - left, POSITIONS * len(writing)))
            for each, tokens in reading:
                each.unread -= tokens
            for each in writing:
                each.unwritten -= 1
                each.passes, each.rows = each.passes + 1, each.rows + len(writing)
                if not each.unwritten and each in self._active:
                    self._active.remove(each)
                    each.done.set()
        self._loop = None
