"""Adding a model from within the event loop of a server: the worker's process, its progress, and its end."""

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lsp_server.models.converting import Progress
from lsp_server.models.entries import ModelEntry
from lsp_server.models.registry import this_registry

log = logging.getLogger(__name__)

_OURS = str(Path(__file__).parents[2])
# Our own code first, as `lsp_server.__main__` has it, and nothing of the current folder, which may be anybody's (`-P`).
WORKER = (
    sys.executable,
    "-P",
    "-c",
    f"import os, sys; sys.path.insert(0, {_OURS!r}); from lsp_server.__main__ import own_code_first;"
    f"sys.path[:] = own_code_first(sys.path, {_OURS!r}, os.environ.get('PYTHONPATH', ''));"
    "from lsp_server.models.worker import main; sys.exit(main())",
)
STOP_TIMEOUT_S = 5.0
"""For a worker to delete what it has half made."""
_MOST_COMPLAINT_BYTES = 2000


def list_this_machine() -> tuple[ModelEntry, ...]:
    """The rows of this machine's table; blocks."""
    return this_registry().table().entries


@dataclass(frozen=True, slots=True)
class LocalModels:
    """What a server does with models: lists them, and has them added by a process that runs ``worker``."""

    entries: Callable[[], tuple[ModelEntry, ...]] = list_this_machine
    worker: Sequence[str] = WORKER


@dataclass(frozen=True, slots=True)
class Outcome:
    """How adding ended: ``unchanged`` where the model was there already. ``problem`` is one line for the user."""

    state: Literal["added", "unchanged", "failed", "cancelled"]
    name: str
    path: str | None = None
    problem: str | None = None


async def add_in_process(worker: Sequence[str], model: str, progress: Progress) -> Outcome:
    """Let a process add a model. Cancelled, it ends the process, which deletes what is half made."""
    try:
        process = await asyncio.create_subprocess_exec(
            *worker,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        return Outcome("failed", model, problem=f"the process that adds models cannot be started ({error.strerror})")
    complaints = asyncio.ensure_future(_last_bytes(process.stderr))
    try:
        try:
            last = await _converse(process, model, progress)
        except (ValueError, KeyError, TypeError, AttributeError):
            return Outcome("failed", model, problem=f"adding {model}: its process says what cannot be understood")
        await process.wait()
        return _outcome(model, last, process.returncode, await complaints)
    finally:
        await asyncio.shield(_end(process, complaints))


async def _converse(process: asyncio.subprocess.Process, model: str, progress: Progress) -> Mapping[str, Any]:
    """What the worker said last."""
    assert process.stdin is not None
    assert process.stdout is not None
    last: Mapping[str, Any] = {}
    with contextlib.suppress(ConnectionError):  # it ended at once; its status and its complaints say why
        process.stdin.write(json.dumps({"model": model}).encode() + b"\n")
        await process.stdin.drain()
    async for line in process.stdout:
        last = json.loads(line)
        if "share" in last:
            progress(last["share"], last["doing"])
    return last


def _outcome(model: str, last: Mapping[str, Any], status: int | None, complaints: bytes) -> Outcome:
    if "name" in last:
        return Outcome("added" if last["added"] else "unchanged", last["name"], last["path"])
    if "cancelled" in last:
        return Outcome("cancelled", model)
    if "error" in last:
        return Outcome("failed", model, problem=last["error"])
    lines = complaints.decode("utf-8", "replace").split("\n")
    reason = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return Outcome("failed", model, problem=f"adding {model} ended with status {status}: {reason}")


async def _last_bytes(stream: asyncio.StreamReader | None) -> bytes:
    assert stream is not None
    kept = b""
    while block := await stream.read(1 << 16):
        kept = (kept + block)[-_MOST_COMPLAINT_BYTES:]
    return kept


async def _end(process: asyncio.subprocess.Process, complaints: "asyncio.Future[bytes]") -> None:
    """Let the process end; its streams are read to their ends, or asyncio would not close them."""
    assert process.stdin is not None
    process.stdin.close()
    ending = asyncio.gather(process.wait(), _last_bytes(process.stdout), complaints)
    try:
        await asyncio.wait_for(asyncio.shield(ending), STOP_TIMEOUT_S)
    except TimeoutError:
        log.warning("adding a model does not stop; its process is ended")
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await ending
    with contextlib.suppress(ConnectionError):
        await process.stdin.wait_closed()
