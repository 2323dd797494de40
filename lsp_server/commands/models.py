"""``midtoken models``: what can be used here, and our own store."""

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from engine import RequestError
from lsp_server.commands.options import set_example
from lsp_server.commands.progress import share_bar
from lsp_server.commands.tables import columns, count, printable, shortened, size
from lsp_server.models.adding import Plan, add, plan
from lsp_server.models.converting import PRECISIONS
from lsp_server.models.entries import PLACES, ModelEntry
from lsp_server.models.names import name_or_path
from lsp_server.models.registry import this_registry

_TITLES = ("name", "where", "parameters", "quantisation", "context", "fills in", "licence", "size", "state")
_LABELS = {"source": "where", "bytes": "size", "fim": "fills in", "quantization": "quantisation"}
"""How fields of the JSON are called in the table, where it is another name."""
_STATES = {"ready": "ready", "convertible": "to be added", "unusable": "cannot be used"}


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    set_example(parser, "midtoken models", "midtoken models add qwen2.5-coder:0.5b", "midtoken models add ~/model.gguf")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run_list)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    _action(actions, "list", run_list, "list what can be used (the default)", "midtoken models list --json")
    adding = _action(actions, "add", run_add, "convert a model into our own store", "midtoken models add ~/model.gguf")
    adding.add_argument(
        "model", type=name_or_path, metavar="NAME|PATH", help="a name of the list, a GGUF file, a folder"
    )
    adding.add_argument("--name", help="what to call it (default: as in the list)")
    adding.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="keep holds on to the blocks of a GGUF file, the others round anew (default: keep; int4 of a checkpoint); "
        "with +w8a8 a second graph reads long texts, if that is faster here",
    )
    adding.add_argument("--force", action="store_true", help="do not ask for room on the disk and in memory first")
    removing = _action(
        actions, "remove", run_remove, "delete an added model", "midtoken models remove qwen2.5-coder:0.5b"
    )
    removing.add_argument("model", metavar="NAME", help="a name of the list")
    showing = _action(actions, "show", run_show, "all that is known of one", "midtoken models show qwen2.5-coder:0.5b")
    showing.add_argument(
        "model", type=name_or_path, metavar="NAME|PATH", help="a name of the list, a GGUF file, a folder"
    )


def _action(
    actions: Any, name: str, run: Callable[[argparse.Namespace], int], summary: str, example: str
) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
    action.set_defaults(run=run, parser=action)
    set_example(action, example)
    return action


def run_list(args: argparse.Namespace) -> int:
    """Print the table."""
    table = this_registry().table()
    for note in table.notes:
        _tell(note)
    if args.json:
        print(json.dumps({"models": [entry.to_json() for entry in table.entries]}, ensure_ascii=False))
    else:
        print("\n".join(lines_of(table.entries)))
        if any(entry.state == "convertible" for entry in table.entries):
            _tell("to use a model that is to be added: midtoken models add NAME")
    return 0


def run_add(args: argparse.Namespace) -> int:
    """Convert a model; an interrupted run leaves nothing behind."""
    registry = this_registry()
    what = plan(registry, args.model, args.name, args.precision)
    _tell(_announcement(what))
    with _ended_by_signals(), contextlib.closing(share_bar("adding")) as bar:
        added = add(registry, what, lambda share, doing: bar(share, 1.0, doing), force=args.force)
    entry = registry.entry(added.name)
    if args.json:
        print(json.dumps({**entry.to_json(), "added": not what.is_there}, ensure_ascii=False))
    elif what.is_there:
        _tell(f"{added.name} is there already, and its source has not changed")
    else:
        _tell(f"added {added.name} ({size(entry.facts.bytes)}); use it with --model {_quoted(added.name)}")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Delete an added model. Files of other programs are never deleted."""
    registry = this_registry()
    if registry.store.find(args.model) is None and (entry := registry.table().find(args.model)) is not None:
        owner = "it comes with Midtoken" if entry.found is None else f"{PLACES[entry.source]} keeps it; remove it there"
        raise RequestError(f"{entry.name} is no added model: {owner}")
    removed = registry.store.remove(args.model)
    if args.json:
        print(json.dumps({"removed": removed.name}, ensure_ascii=False))
    else:
        _tell(f"removed {removed.name}")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print one row, with one line for each field."""
    registry = this_registry()
    entry = (registry.table().find(args.model) if isinstance(args.model, str) else None) or registry.entry(args.model)
    if args.json:
        print(json.dumps(entry.to_json(), ensure_ascii=False))
        return 0
    words = {"source": PLACES[entry.source], "state": _STATES[entry.state], "bytes": size(entry.facts.bytes)}
    for name, value in {**entry.to_json(), **words}.items():
        if value is not None or name != "reason":
            print(f"{_LABELS.get(name, name):<14}{printable(_value(value))}")
    return 0


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not stated" if value is None else str(value)


def lines_of(entries: Sequence[ModelEntry]) -> list[str]:
    """The table as text; a reason stands below its row."""
    rows = columns(_TITLES, [_cells(entry) for entry in entries])
    lines = rows[:1]
    for row, entry in zip(rows[1:], entries, strict=True):
        lines.append(row)
        if entry.reason and entry.source != "bundled":
            lines.append(f"    {printable(entry.reason)}")
    return lines


def _cells(entry: ModelEntry) -> tuple[str, ...]:
    facts = entry.facts
    return (
        entry.name,
        PLACES[entry.source],
        count(facts.parameters),
        facts.quantization,
        str(facts.context or ""),
        {True: "yes", False: "no", None: ""}[facts.fim],
        shortened(facts.licence, 30),
        size(facts.bytes),
        _STATES[entry.state],
    )


def _announcement(what: Plan) -> str:
    """What is about to be converted, and its licence. The user decides whether the licence is acceptable."""
    facts = what.entry.facts
    parts = [f"{count(facts.parameters)} parameters" if facts.parameters else "", facts.quantization, size(facts.bytes)]
    licence = facts.licence or "not stated; look it up before you use what it writes"
    return f"{what.name}: {', '.join(filter(None, parts))}; licence: {printable(licence)}"


def _tell(line: str) -> None:
    print(f"midtoken: {line}", file=sys.stderr)


def _quoted(name: str) -> str:
    return f"'{name}'" if " " in name else name


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turns signals that end the process into exceptions, so that unfinished files are deleted."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
