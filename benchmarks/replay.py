"""Keystroke replay: what a person who types gets from the real server, and what it costs.

Passages of real files are typed character by character at human speed (`typing_model`), by a client that behaves as an
editor does (`editor`), into ``midtoken serve`` over its standard streams (`server_process`, `observed_server`). Each
healing mode has a server of its own and types the same passages with the same typos; they take turns by the passage.
With a peer it is the mode `exact` and llama.cpp's server on the same weights, asked as its plugin asks (`plugin`).

Time is real, with one exception: a pause ends early once, for `QUIET_S`, no request was running and the server has
computed nothing. The skipped time counts as passed for the person.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import programs
from benchmarks.documents import own_sources
from benchmarks.keystrokes.accounts import Call, Figures, account, read_calls
from benchmarks.keystrokes.editor import Editor, Server, TypingSession
from benchmarks.keystrokes.passages import Passage, draw, read
from benchmarks.keystrokes.plugin import Plugin
from benchmarks.keystrokes.server_process import TIMEOUT_S, ServerProcess
from benchmarks.keystrokes.typing_model import Hand, Typist
from benchmarks.replay_report import ModeResult, report
from benchmarks.tables import BenchOptions, Report
from engine import BUNDLED_MODEL, HEALING_MODES, HealingMode, RequestError

CHARACTERS = 300
"""Characters that are typed under each mode; about three minutes in all."""
QUIET_S = 0.5
IDLE_S = 2.0
LOADING_S = 120.0
WORKING_SHARE = 0.1
"""A process that uses more than this share of a core is working."""
OBSERVED_SERVER = (sys.executable, "-m", "benchmarks.keystrokes.observed_server")
LLAMA_CPP_SERVER = (sys.executable, "-m", "benchmarks.llama_cpp")
PEER = "llama.cpp"
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
    """The time of the person who types, in seconds: real time plus the skipped parts of pauses."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._skipped = 0.0

    def now(self) -> float:
        return time.monotonic() * self._speed + self._skipped

    async def wait(self, seconds: float, busy: Callable[[], bool]) -> None:
        """Let a pause pass. The rest of it is skipped once nothing was running for `QUIET_S`."""
        end, quiet_since = self.now() + seconds, self.now()
        while (left := end - self.now()) > 0:
            if busy():
                quiet_since = self.now()
            elif self.now() - quiet_since >= QUIET_S:
                self._skipped += left
                return
            await asyncio.sleep(min(left, QUIET_S / 4) / self._speed)


class Work:
    """Whether a process computes, even without a request, because it may read ahead."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._at_s, self._cpu_s = time.monotonic(), programs.cpu_seconds(pid)

    def goes_on(self) -> bool:
        """Whether it used more than `WORKING_SHARE` of a core since this was last asked; False without psutil."""
        at_s, cpu_s = time.monotonic(), programs.cpu_seconds(self._pid)
        used, passed = cpu_s - self._cpu_s, at_s - self._at_s
        self._at_s, self._cpu_s = at_s, cpu_s
        return used > WORKING_SHARE * passed


@dataclass(slots=True)
class Mode:
    """A healing mode, or the peer, in use: its server, and its cost so far."""

    name: str
    server: Server
    pid: int
    calls: Callable[[], Sequence[Call]]
    """The calls of its model so far."""
    sessions: list[TypingSession] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)
    """When passages were typed (`time.monotonic`)."""
    cpu_s: float = 0.0
    typing_s: float = 0.0

    async def own_account(self) -> Mapping[str, Any] | None:
        """The statistics that the server keeps itself; None if it keeps none."""
        command = {"command": "midtoken.server.statistics", "arguments": []}
        reply = await asyncio.wait_for(self.server.ask("workspace/executeCommand", command)[1], TIMEOUT_S)
        statistics: Mapping[str, Any] | None = reply.result
        return statistics

    def figures(self) -> Figures:
        calls = [c for c in self.calls() if any(start <= c.started <= end for start, end in self.spans)]
        return account(self.sessions, calls)

    def result(self, idle: float, own_account: Mapping[str, Any] | None) -> ModeResult:
        peak_mb = programs.peak_memory_bytes(self.pid) / 1e6
        passages = len(self.sessions)
        return ModeResult(self.name, self.figures(), self.cpu_s, self.typing_s, idle, passages, own_account, peak_mb)


async def _replay(passages: Sequence[Passage], options: BenchOptions) -> list[ModeResult]:
    rounds = len(passages)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        contexts = [started(healing, folder, options) for healing in HEALING_MODES]
        if options.replay_peer:
            assert options.gguf is not None
            contexts = [started_peer(options.gguf), started("exact", folder, options)]
        modes = [await stack.enter_async_context(context) for context in contexts]
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
        return [mode.result(cpu, await mode.own_account()) for mode, cpu in zip(modes, idle, strict=True)]


@asynccontextmanager
async def started(healing: HealingMode, folder: Path, options: BenchOptions) -> AsyncIterator[Mode]:
    """A server whose model is loaded and has made one completion."""
    log = folder / f"{healing}.jsonl"
    model = str(options.model or BUNDLED_MODEL)
    command = [*OBSERVED_SERVER, str(log), model, options.device]
    server = await ServerProcess.started(command, programs.environment(folder / "modules"), {"healing": healing})
    mode = Mode(healing, server, server.process.pid, lambda: read_calls(log))
    try:
        async with asyncio.timeout(LOADING_S):
            while not (log.exists() and log.read_text(encoding="utf-8").endswith("\n")):
                await asyncio.sleep(0.05)
        await _ask_once(server)
        yield mode
    finally:
        await server.close()


@asynccontextmanager
async def started_peer(file: Path) -> AsyncIterator[Mode]:
    """llama.cpp's server on a GGUF file, after one completion. Raises `RequestError` if it does not start."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*LLAMA_CPP_SERVER, str(file), stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(LOADING_S):
            while (line := await process.stdout.readline()) and not line.startswith(b"{"):
                pass  # libraries print lines of their own
            if not line:
                said = (await process.stderr.read()).decode(errors="replace").strip().splitlines() or ["no message"]
                raise RequestError(f"llama.cpp does not start ({said[-1][:200]}); it needs the package xllamacpp")
        silence = asyncio.ensure_future(_discard(process.stdout, process.stderr))
        plugin = Plugin(int(json.loads(line)["port"]))
        await _ask_once(plugin)
        await plugin.settle()
        yield Mode(PEER, plugin, process.pid, lambda: plugin.calls)
        await plugin.settle()
        silence.cancel()
    finally:
        process.stdin.close()
        if process.returncode is None:
            process.kill()  # nothing of it is kept
        await process.wait()


async def _discard(*streams: asyncio.StreamReader) -> None:
    """Read and discard streams, so that their writers never block."""
    await asyncio.gather(*(stream.read() for stream in streams))


async def _ask_once(server: Server) -> None:
    """One completion, in which libraries initialise themselves."""
    editor = Editor(server, URI.format("first"), "vscode", TypingSession())
    editor.open("import os\n\n\ndef first(path):\n    return os.pa", "\n")
    await asyncio.wait_for(server.ask("textDocument/inlineCompletion", editor.question(invoked=True))[1], TIMEOUT_S)
    editor.close()


async def type_passage(mode: Mode, passage: Passage, number: int, options: BenchOptions) -> None:
    """One passage in a document of its own, from its opening to its closing."""
    session, clock = TypingSession(), Clock(options.speed)
    target = passage.before + passage.text + passage.after
    editor = Editor(mode.server, URI.format(number), options.client, session, clock.now, target)
    work = Work(mode.pid)
    line = passage.before.rpartition("\n")[2]
    typist = Typist(passage.text, Hand(), f"{options.seed}/{number}", passage.indent, line)
    editor.open(passage.before, passage.after)
    began, began_s, cpu_s = time.monotonic(), clock.now(), programs.cpu_seconds(mode.pid)
    while not typist.done:
        await clock.wait(typist.pause(), lambda: work.goes_on() or editor.busy)
        editor.press(typist.press(editor.ghost_text, editor.visible_s))
    await editor.settle()
    mode.cpu_s += programs.cpu_seconds(mode.pid) - cpu_s
    mode.typing_s += clock.now() - began_s
    mode.spans.append((began, time.monotonic()))
    mode.sessions.append(session)
    assert editor.before == passage.before + passage.text, "what was typed is not what was to be typed"
    editor.close()


async def _idle_cpu(mode: Mode) -> float:
    """CPU seconds a minute of a server without requests."""
    before = programs.cpu_seconds(mode.pid)
    await asyncio.sleep(IDLE_S)
    return (programs.cpu_seconds(mode.pid) - before) / IDLE_S * 60


def _texts(options: BenchOptions) -> list[str]:
    if not options.files:
        return own_sources()
    try:
        return read(options.files)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"the files cannot be read ({error}); give files of UTF-8 text or folders") from None
