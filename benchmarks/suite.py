"""The benchmarks by name, and how their reports are printed."""

import importlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.tables import BenchOptions, as_json, as_text, machine
from lsp_server.commands.progress import progress_bar


def run(names: Sequence[str], options: BenchOptions, *, as_json_object: bool = False) -> None:
    """Run the benchmarks one after the other and print each report as soon as it is there, or all as one object."""
    conditions = machine()
    if not as_json_object:
        print("machine")
        print("\n".join(f"  {name}: {value}" for name, value in conditions.items()))
    reports: list[dict[str, Any]] = []
    for name in names:
        report = importlib.import_module(f"benchmarks.{name}").run(replace(options, progress=progress_bar(name)))
        reports.append(as_json(report))
        if not as_json_object:
            print(f"\n{as_text(report)}", flush=True)
    if as_json_object:
        print(json.dumps({"machine": conditions, "benchmarks": reports}, ensure_ascii=False))
