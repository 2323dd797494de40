"""``midtoken models``: what can be used here."""

import argparse
import json
import sys
from collections.abc import Sequence

from lsp_server.commands.options import set_example
from lsp_server.commands.tables import columns, count, shortened, size
from lsp_server.models.entries import PLACES, ModelEntry
from lsp_server.models.registry import this_registry

_TITLES = ("name", "where", "parameters", "quantisation", "context", "fills in", "licence", "size", "state")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    set_example(parser, "midtoken models", "midtoken models list --json")
    parser.set_defaults(run=run_list, json=False)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listing = actions.add_parser("list", help="list what can be used (the default)", allow_abbrev=False)
    listing.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
    listing.set_defaults(run=run_list)


def run_list(args: argparse.Namespace) -> int:
    """Print the table."""
    table = this_registry().table()
    for note in table.notes:
        print(f"midtoken: {note}", file=sys.stderr)
    if args.json:
        print(json.dumps({"models": [entry.to_json() for entry in table.entries]}, ensure_ascii=False))
    else:
        print("\n".join(lines_of(table.entries)))
    return 0


def lines_of(entries: Sequence[ModelEntry]) -> list[str]:
    """The table as text; a reason stands below its row."""
    rows = columns(_TITLES, [_cells(entry) for entry in entries])
    lines = rows[:1]
    for row, entry in zip(rows[1:], entries, strict=True):
        lines.append(row)
        if entry.reason and entry.source != "bundled":
            lines.append(f"    {entry.reason}")
    return lines


def _cells(entry: ModelEntry) -> tuple[str, ...]:
    facts = entry.facts
    fills = {True: "yes", False: "no", None: ""}[facts.fim]
    return (
        entry.name,
        PLACES[entry.source],
        count(facts.parameters),
        facts.quantization,
        str(facts.context or ""),
        fills,
        shortened(facts.licence, 30),
        size(facts.bytes),
        {"ready": "ready", "convertible": "to be added", "unusable": "cannot be used"}[entry.state],
    )
