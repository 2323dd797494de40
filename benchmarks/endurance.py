"""A working day in minutes: does the server grow?

    python -m benchmarks.endurance [--model none | bundled] [--keys 20000] [--files PATH ...]

Eight hours of an editor's traffic without the pauses: bursts of typing with cancelled and awaited requests, acceptances
by the command, deletions and undo, pasted and replaced text, documents opened, closed and renamed, notebooks, requests
for lists, changed settings. Once an hour the server's memory is read, and the objects that it holds are counted (the
server is the real one with a counter around its completer, `benchmarks.keystrokes.counted_server`). All documents are
as long at the end of an hour as at its beginning, so nothing has a reason to grow. After the day, the model is changed
several times, and memory is read after some typing with each.

The exit status is 1 if it grew: from the third quarter of the day to the last one in live objects by more than 1 %, in
resident memory by more than 1 % and 2 MiB, or in threads or open files at all; or from the first changes of the model
to the last ones in resident memory by more than 5 %. In the first half of the day, bounded buffers fill up: the keys
and values of eight sequences, the caches of the tokenizer and of the server.
"""

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import programs
from benchmarks.arguments import parser_for
from benchmarks.documents import own_sources
from benchmarks.keystrokes.counted_server import MARK
from benchmarks.keystrokes.editor import Editor, TypingSession
from benchmarks.keystrokes.passages import read
from benchmarks.keystrokes.server_process import ServerProcess
from benchmarks.keystrokes.typing_model import Key
from benchmarks.tables import Cell, Report, Table, as_json, as_text, machine, median
from lsp_server.commands.progress import progress_bar

HOURS = 8
KEYS = 20_000
"""Keys of a programmer's day: some forty a minute, all day long."""
OPEN_DOCUMENTS = 12
CHANGES = 12
"""Changes of the model after the day."""
KEYS_A_MODEL = 100
COUNTER_URI = "file:///endurance/counter.py"
SETTINGS: tuple[Mapping[str, Any], ...] = (
    {"debounceMs": 0},
    {"debounceMs": 0, "multiLine": True},
    {"debounceMs": 0, "crossFileContext": True},
    {"debounceMs": 0, "maxNewTokens": 32, "healing": "k-step"},
)
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one time of the day. ``resident`` is in bytes, ``objects`` counts live objects by type."""

    keys: int
    resident: int
    objects: Counter[str]
    threads: int
    files: int
    memory: dict[str, int]

    @property
    def total(self) -> int:
        return self.objects.total()


@dataclass(slots=True)
class Day:
    """The work of the day: one client, several documents, random events from a seed."""

    server: ServerProcess
    log: Path
    texts: Sequence[str]
    chance: random.Random
    keys: int = 0
    opened: int = 0
    session: TypingSession = field(default_factory=TypingSession)
    editors: list[Editor] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)

    async def work(self, keys: int) -> None:
        """Work until ``keys`` keys are pressed in all."""
        while self.keys < keys:
            self._arrange()
            await self._burst(self.chance.choice(self.editors))
            if self.chance.random() < 0.3:
                await self._besides(self.chance.choice(self.editors))
        for editor in self.editors:
            await editor.settle()
        self.did["answered"] += sum(not request.stale for request in self.session.requests)
        self.session.requests.clear()
        self.session.keys.clear()

    async def sample(self) -> Sample:
        """Read the server's memory and count its objects."""
        editor = Editor(self.server, COUNTER_URI, "vscode", TypingSession())
        editor.open(MARK, "")
        before = len(self._counts())
        async with asyncio.timeout(60):
            while len(counts := self._counts()) == before:
                await self.server.request("textDocument/inlineCompletion", editor.question(invoked=True))
        editor.close()
        command = {"command": "midtoken.server.statistics", "arguments": []}
        statistics = await self.server.request("workspace/executeCommand", command)
        usage = programs.usage(self.server.process.pid)
        memory = {k: v for k, v in statistics["memory"].items() if isinstance(v, int)}
        return Sample(self.keys, usage.resident, Counter(counts[-1]), usage.threads, usage.files, memory)

    def _counts(self) -> list[dict[str, int]]:
        return [entry for entry in self._entries() if entry is not None]

    def _entries(self) -> list[dict[str, int] | None]:
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    async def change_model(self) -> None:
        """Load another model, and wait until it serves. Another number of threads counts as another model."""
        before = self._entries().count(None)
        self._set(SETTINGS[0], 2 if self.server.settings.get("threads") == 1 else 1)
        command = {"command": "midtoken.server.modelInfo", "arguments": []}
        async with asyncio.timeout(60):
            while self._entries().count(None) == before:
                await asyncio.sleep(0.01)
            while (await self.server.request("workspace/executeCommand", command))["state"] != "ready":
                await asyncio.sleep(0.01)
        self.did["models changed"] += 1

    def _arrange(self) -> None:
        """Open documents up to the usual number; now and then close or rename one."""
        while len(self.editors) < OPEN_DOCUMENTS:
            self._open(self.chance.choice(self.texts))
        event = self.chance.random()
        if event < 0.25:
            self.editors.pop(self.chance.randrange(len(self.editors))).close()
            self.did["closed"] += 1
        elif event < 0.3:  # editors rename by closing and opening again
            renamed = self.editors.pop(self.chance.randrange(len(self.editors)))
            renamed.close()
            self._open(renamed.before + renamed.after)
            self.did["renamed"] += 1

    def _open(self, text: str) -> None:
        editor = Editor(self.server, f"file:///endurance/{self.opened}.py", "vscode", self.session)
        editor.open(text, "")
        self.opened += 1
        self.editors.append(editor)
        self.did["opened"] += 1

    async def _burst(self, editor: Editor) -> None:
        """Type a line somewhere, accept a suggestion now and then, and undo everything."""
        text = editor.before + editor.after
        editor.move(text.find("\n", self.chance.randrange(len(text))) + 1)
        start = len(editor.before)
        line = self.chance.choice([line for line in text.split("\n") if len(line.strip()) > 8])
        for letter in line:
            self._press(editor, Key("type", insert=letter))
            if self.chance.random() < 0.5:
                await editor.settle()
                if editor.ghost_text and self.chance.random() < 0.2:
                    self._press(editor, Key("accept", insert=editor.ghost_text))
                    self.did["accepted"] += 1
            else:
                self.did["cancelled"] += 1
                await asyncio.sleep(0)
            if self.chance.random() < 0.05:
                self._press(editor, Key("delete", 1))
        self._press(editor, Key("delete", len(editor.before) - start))
        self.did["undone"] += 1

    async def _besides(self, editor: Editor) -> None:
        """The rarer events."""
        event = self.chance.randrange(6)
        if event == 0:
            pasted = self.chance.choice(self.texts)[:5000]
            self._press(editor, Key("type", insert=pasted))
            self._press(editor, Key("delete", len(pasted)))
            self.did["pasted"] += 1
        elif event == 1:
            editor.replace_all(editor.before + editor.after)
            self.did["replaced"] += 1
        elif event == 2:
            await self.server.request("textDocument/completion", editor.place)
            self.did["lists"] += 1
        elif event == 3:
            await self.server.request("textDocument/inlineCompletion", editor.question(invoked=True))
            self.did["asked for"] += 1
        elif event == 4:
            await self._notebook()
        else:
            self._set(self.chance.choice(SETTINGS), self.server.settings.get("threads"))
            self.did["settings changed"] += 1

    def _set(self, settings: Mapping[str, Any], threads: int | None) -> None:
        self.server.settings = {**settings, "threads": threads}
        self.server.notify("workspace/didChangeConfiguration", {"settings": None})

    async def _notebook(self) -> None:
        """Open a notebook, ask in its last cell, move that cell to the front, and close the notebook."""
        notebook = {"uri": f"file:///endurance/{self.opened}.ipynb", "version": 1}
        uris = [f"{notebook['uri']}#{number}" for number in range(5)]
        cells = [{"kind": 2, "document": uri} for uri in uris]
        texts = [self.chance.choice(self.texts)[:400] for _ in uris]
        documents = [
            {"uri": uri, "languageId": "python", "version": 1, "text": text}
            for uri, text in zip(uris, texts, strict=True)
        ]
        opened = {**notebook, "notebookType": "jupyter-notebook", "cells": cells}
        self.server.notify("notebookDocument/didOpen", {"notebookDocument": opened, "cellTextDocuments": documents})
        place = {"textDocument": {"uri": uris[-1]}, "position": {"line": 0, "character": 1}}
        await self.server.request("textDocument/inlineCompletion", {**place, "context": {"triggerKind": 1}})
        moved: list[dict[str, Any]] = [
            {"array": {"start": 4, "deleteCount": 1}},
            {"array": {"start": 0, "deleteCount": 0, "cells": cells[-1:]}},
        ]
        for structure in moved:
            change = {"notebookDocument": notebook, "change": {"cells": {"structure": structure}}}
            self.server.notify("notebookDocument/didChange", change)
        closed = [{"uri": uri} for uri in uris]
        self.server.notify("notebookDocument/didClose", {"notebookDocument": notebook, "cellTextDocuments": closed})
        self.opened += 1
        self.did["notebooks"] += 1

    def _press(self, editor: Editor, key: Key) -> None:
        editor.press(key)
        self.keys += 1


def grown(samples: Sequence[Sample], models: Sequence[Sample] = ()) -> list[str]:
    """What grew between the third quarter of a day and the last one, one line each, or from model to model.

    The first of the ``samples`` is before work began; ``models`` are those after a change of the model each.
    """
    quarter = len(samples) // 4
    first, last = samples[1 + 2 * quarter : 1 + 3 * quarter], samples[-quarter:]
    found: list[str] = []

    def compare(name: str, values: Sequence[Sequence[float]], allowed: float) -> None:
        before, after = (median(part) for part in values)
        if after > before + allowed:
            found.append(f"{name} grew from {before:.0f} to {after:.0f}")

    objects = [[s.total for s in part] for part in (first, last)]
    compare("live objects", objects, 0.01 * median(objects[0]))
    resident = [[s.resident / MIB for s in part] for part in (first, last)]
    compare("resident memory in MiB", resident, max(0.01 * median(resident[0]), 2))
    compare("threads", [[s.threads for s in part] for part in (first, last)], 0)
    compare("open files", [[s.files for s in part] for part in (first, last)], 0)
    if models:
        part = max(1, len(models) // 3)
        resident = [[s.resident / MIB for s in some] for some in (models[:part], models[-part:])]
        compare("resident memory in MiB from model to model", resident, 0.05 * median(resident[0]))
    return found


def report(samples: Sequence[Sample], models: Sequence[Sample], day: Day, conditions: dict[str, Cell]) -> Report:
    """One row for each hour, and one for each of the ``models`` afterwards."""
    caches = sorted(samples[-1].memory)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            f"{HOURS * index / (len(samples) - 1):.3g}",
            sample.keys,
            sample.resident / MIB,
            sample.total,
            sample.threads,
            sample.files,
            *(sample.memory[name] for name in caches),
        )
        for index, sample in enumerate(samples)
    )
    table = Table("the day", ("hour", "keys", "resident MiB", "live objects", "threads", "open files", *caches), rows)
    more = samples[-1].objects - samples[1].objects
    types = Table(
        "most of what is there more of than after the first hour", ("type", "more"), tuple(more.most_common(6))
    )
    changes = Table(
        f"after each change of the model and {KEYS_A_MODEL} keys",
        ("change", "resident MiB", "live objects"),
        tuple((number, sample.resident / MIB, sample.total) for number, sample in enumerate(models, 1)),
    )
    did = ", ".join(f"{count} {what}" for what, count in sorted(day.did.items()))
    notes = tuple(grown(samples, models)) or ("nothing grew",)
    return Report("endurance", {**conditions, "done": did}, (table, types, changes), (), notes)


async def live(model: str, keys: int, texts: Sequence[str], seed: int) -> tuple[list[Sample], list[Sample], Day]:
    """Run the whole day. Returns one sample before it and one after each hour, those after each change of the
    model, and the day.
    """
    show = progress_bar("endurance")
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "counts.jsonl"
        command = [sys.executable, "-m", "benchmarks.keystrokes.counted_server", str(log)]
        command += ["parrot"] if model == "none" else []
        server = await ServerProcess.started(command, programs.environment(Path(place) / "modules"), SETTINGS[0])
        try:
            day = Day(server, log, texts, random.Random(seed))
            samples = [await day.sample()]
            for hour in range(1, HOURS + 1):
                await day.work(keys * hour // HOURS)
                samples.append(await day.sample())
                show(hour, HOURS)
            models: list[Sample] = []
            for change in range(1, CHANGES + 1):
                await day.change_model()
                await day.work(keys + change * KEYS_A_MODEL)
                models.append(await day.sample())
        finally:
            await server.close()
    return samples, models, day


def main() -> int:
    """Run a day and print the report; exit status 1 if the server grew."""
    parser = parser_for(__doc__, seed=True)
    parser.add_argument("--model", choices=("none", "bundled"), default="none", help="what completes (default: none)")
    parser.add_argument("--keys", type=int, default=KEYS, help=f"keys of the day (default: {KEYS})")
    parser.add_argument("--files", type=Path, nargs="+", default=(), help="what is worked on (default: our sources)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    texts = [text for text in (read(args.files) if args.files else own_sources()) if len(text) > 1000]
    if args.keys < HOURS or not texts:
        parser.error("there must be a key an hour, and a file of a thousand characters")
    began = time.monotonic()
    samples, models, day = asyncio.run(live(args.model, args.keys, texts, args.seed))
    took = f"{(time.monotonic() - began) / 60:.1f} minutes"
    conditions: dict[str, Cell] = {"model": args.model, "took": took, "seed": args.seed, **machine()}
    result = report(samples, models, day, conditions)
    print(json.dumps(as_json(result)) if args.json else as_text(result))
    return 1 if grown(samples, models) else 0


if __name__ == "__main__":
    sys.exit(main())
