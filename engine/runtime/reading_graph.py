"""A second graph of a model, for passes over many tokens. It multiplies bytes and makes keys and values only.

Weights of few bits are best where one token is read at a time, since they come from memory. Where many are read, the
arithmetic counts, and products of bytes are several times as fast on some processors, slower on others. So whether it
is used, and from how many tokens on, is measured where it runs.
"""

import hashlib
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import ContractError
from engine.model_folder.manifest import Manifest
from engine.model_folder.user_cache import keep_file
from engine.runtime.kv_buffers import layer_names
from engine.runtime.ort import ort

TRIED_ROWS = (8, 32)
TURNS = 2
FASTER = 1.1
"""How much faster it must be: it also rounds, and a pass that wants logits becomes two."""

Pass = Callable[[int], object]
"""A pass over so many tokens."""


class ReadingGraph:
    """The graph in onnxruntime, and the bindings of one session. It reads ``least_rows`` tokens or more."""

    def __init__(self, session: Any, least_rows: int) -> None:
        self.session, self.least_rows = session, least_rows
        self.binding = session.io_binding()

    def sibling(self) -> "ReadingGraph":
        """The same graph for another session."""
        return ReadingGraph(self.session, self.least_rows)


def check_reading_graph(session: Any, manifest: Manifest) -> None:
    """Raise `ContractError` unless the graph has the inputs and outputs that the first one has, except for logits."""
    past, present = layer_names(manifest.graph, manifest.key_value)
    wanted = {manifest.graph.input_ids, manifest.graph.attention_mask, *past}
    if {value.name for value in session.get_inputs()} != wanted or not manifest.key_value.shared:
        raise ContractError(f"{manifest.reading_file} has other inputs than the model; convert it again")
    if {value.name for value in session.get_outputs()} != set(present):
        raise ContractError(f"{manifest.reading_file} has other outputs than keys and values; convert it again")
    shapes = {value.name: value.shape for value in session.get_inputs()}
    for name in past:
        if (shapes[name][1], shapes[name][3]) != (manifest.key_value.heads, manifest.key_value.head_size):
            raise ContractError(f"{manifest.reading_file} has keys and values of another size; convert it again")


def measured_rows(narrow: Pass, reading: Pass, clock: Callable[[], float] = time.perf_counter) -> int:
    """From how many tokens on ``reading`` is faster than ``narrow``, of those that are tried; 0: it never is."""
    for rows in TRIED_ROWS:
        best = [float("inf"), float("inf")]
        for _ in range(TURNS):
            for place, run in enumerate((narrow, reading)):
                started = clock()
                run(rows)
                best[place] = min(best[place], clock() - started)
        if best[1] * FASTER <= best[0]:
            return rows
    return 0


def known_rows(manifest: Manifest, threads: int | None, folder: Path | None) -> int | None:
    """What was kept for these files, on this processor, with so many threads and this onnxruntime: the number of tokens
    from which on the second graph is used, 0 if never. None: nothing was kept in ``folder``.
    """
    if folder is None:
        return None
    with suppress(OSError, ValueError):
        known = int((folder / _key(manifest, threads)).read_text(encoding="ascii"))
        return known if known in (0, *TRIED_ROWS) else None
    return None


def keep_rows(rows: int, manifest: Manifest, threads: int | None, folder: Path | None) -> None:
    """Keep it for `known_rows`, if ``folder`` can be written."""
    if folder is not None:
        keep_file(folder / _key(manifest, threads), str(rows).encode("ascii"))


def _key(manifest: Manifest, threads: int | None) -> str:
    files = [manifest.files[name] for name in sorted(manifest.files)]
    machine = [platform.machine(), _processor(), str(os.cpu_count()), str(threads), ort.__version__]
    return hashlib.sha256("\n".join([*files, *machine]).encode()).hexdigest()


def _processor() -> str:
    """What tells processors apart: on Linux its name and its instructions."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0].split("\n")
        return "\n".join(line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part")))
    return platform.processor()
