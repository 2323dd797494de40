"""Keystroke replay: what somebody who types gets from the real server, and what it costs.

Passages of real files are typed character by character at human speed (`typing_model`), by a client that behaves as an
editor does (`editor`), into ``midtoken serve`` over its standard streams (`server_process`, `observed_server`). Each
healing mode has a server of its own and types the same passages with the same typos; they take turns by the passage.

Time is real but for one thing: in a pause of which `QUIET_S` have passed while nothing was on its way, the rest is not
waited for. The server computes nothing then, which the figure of CPU time while idle shows; the skipped time counts as
passed for the person.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import programs
from benchmarks.documents import own_sources
from benchmarks.keystrokes.accounts import Figures, account, read_calls
from benchmarks.keystrokes.editor import Editor, TypingSession
from benchmarks.keystrokes.passages import Passage, draw, read
from benchmarks.keystrokes.server_process import ServerProcess
from benchmarks.keystrokes.typing_model import Hand, Typist
from benchmarks.replay_report import ModeResult, report
from benchmarks.tables import BenchOptions, Report
from engine import BUNDLED_MODEL, HEALING_MODES, HealingMode, RequestError

CHARACTERS = 300
"""Characters of the files that are written under each mode; about three minutes in all."""
QUIET_S = 0.5
IDLE_S = 2.0
LOADING_S = 120.0
OBSERVED_SERVER = (sys.executable, "-m", "benchmarks.keystrokes.observed_server")
URI = "file:///replay/passage_{}.py"


def run(options: BenchOptions) -> Report:
    """Type, and report. Raises `RequestError` for files that cannot be used."""
    texts = _texts(options)
    passages = draw(texts, options.characters or CHARACTERS, options.seed)
    if not passages:
        raise RequestError("the files hold no lines that could be typed; give others")
    results = asyncio.run(_replay(passages, options))
    return report(results, passages, len(texts), options)


class Clock:
    """The time of the person who types: real time and what was skipped of pauses, in seconds."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._skipped = 0.0

    def now(self) -> float:
        return time.monotonic() * self._speed + self._skipped

    async def wait(self, seconds: float, busy: Callable[[], bool]) -> None:
        """Let a pause pass. Its rest is skipped once nothing was under way for `QUIET_S`."""
        end, quiet_since = self.now() + seconds, self.now()
        while (left := end - self.now()) > 0:
            if busy():
                quiet_since = self.now()
            elif self.now() - quiet_since >= QUIET_S:
                self._skipped += left
                return
            await asyncio.sleep(min(left, QUIET_S / 4) / self._speed)


@dataclass(slots=True)
class Mode:
    """A healing mode at work: its server, and what it cost so far."""

    healing: HealingMode
    server: ServerProcess
    log: Path
    sessions: list[TypingSession] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)
    """When passages were typed (`time.monotonic`)."""
    cpu_s: float = 0.0
    typing_s: float = 0.0

    async def own_account(self) -> dict[str, Any]:
        """The statistics that the server keeps itself."""
        command = {"command": "midtoken.server.statistics", "arguments": []}
        statistics: dict[str, Any] = await self.server.request("workspace/executeCommand", command)
        return statistics

    def figures(self) -> Figures:
        calls = [c for c in read_calls(self.log) if any(start <= c.started <= end for start, end in self.spans)]
        return account(self.sessions, calls)


async def _replay(passages: Sequence[Passage], options: BenchOptions) -> list[ModeResult]:
    rounds = len(passages)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        modes = [await stack.enter_async_context(started(healing, folder, options)) for healing in HEALING_MODES]
        began, done = time.monotonic(), 0
        for number, passage in enumerate(passages):
            if options.seconds is not None and time.monotonic() - began > options.seconds:
                break
            for mode in modes if number % 2 == 0 else reversed(modes):
                await type_passage(mode, passage, number, options)
                done += 1
                options.progress(done, rounds * len(modes))
        idle = [await _idle_cpu(mode) for mode in modes]
        options.progress(1, 1)
        return [
            ModeResult(
                mode.healing,
                mode.figures(),
                mode.cpu_s,
                mode.typing_s,
                share,
                len(mode.sessions),
                await mode.own_account(),
            )
            for mode, share in zip(modes, idle, strict=True)
        ]


@asynccontextmanager
async def started(healing: HealingMode, folder: Path, options: BenchOptions) -> AsyncIterator[Mode]:
    """A server with its model loaded, and one completion behind it."""
    log = folder / f"{healing}.jsonl"
    model = str(options.model or BUNDLED_MODEL)
    command = [*OBSERVED_SERVER, str(log), model, options.device]
    server = await ServerProcess.started(command, programs.environment(folder / "modules"), {"healing": healing})
    mode = Mode(healing, server, log)
    try:
        async with asyncio.timeout(LOADING_S):
            while not (log.exists() and log.read_text(encoding="utf-8").endswith("\n")):
                await asyncio.sleep(0.05)
        editor = Editor(server, URI.format("first"), "vscode", TypingSession())
        editor.open("import os\n\n\ndef first(path):\n    return os.pa", "\n")
        await server.request("textDocument/inlineCompletion", editor.question(invoked=True))
        editor.close()
        yield mode
    finally:
        await server.close()


async def type_passage(mode: Mode, passage: Passage, number: int, options: BenchOptions) -> None:
    """One passage in a document of its own, from its opening to its closing."""
    session, clock = TypingSession(), Clock(options.speed)
    editor = Editor(mode.server, URI.format(number), options.client, session, clock.now)
    line = passage.before.rpartition("\n")[2]
    typist = Typist(passage.text, Hand(), f"{options.seed}/{number}", passage.indent, line)
    editor.open(passage.before, passage.after)
    began, began_s, cpu_s = time.monotonic(), clock.now(), programs.cpu_seconds(mode.server.process.pid)
    while not typist.done:
        await clock.wait(typist.pause(), lambda: editor.busy)
        editor.press(typist.press(editor.ghost_text, editor.visible_s))
    await editor.settle()
    mode.cpu_s += programs.cpu_seconds(mode.server.process.pid) - cpu_s
    mode.typing_s += clock.now() - began_s
    mode.spans.append((began, time.monotonic()))
    mode.sessions.append(session)
    assert editor.before == passage.before + passage.text, "what was typed is not what was to be typed"
    editor.close()


async def _idle_cpu(mode: Mode) -> float:
    """CPU seconds a minute of a server that nobody asks anything."""
    before = programs.cpu_seconds(mode.server.process.pid)
    await asyncio.sleep(IDLE_S)
    return (programs.cpu_seconds(mode.server.process.pid) - before) / IDLE_S * 60


def _texts(options: BenchOptions) -> list[str]:
    if not options.files:
        return own_sources()
    try:
        return read(options.files)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"the files cannot be read ({error}); give files of UTF-8 text or folders") from None
