"""``midtoken bench``: the measurements behind every claim of speed, as ratios against a peer in the same run."""

import argparse
import importlib
from pathlib import Path
from typing import Any

from engine import RequestError
from lsp_server.commands.options import add_command

BENCHMARKS = ("trie", "healing", "decode", "startup")


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "bench", "measure this machine", "midtoken bench trie decode")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--model", type=Path, metavar="DIR", help="model folder (default: the bundled model)")
    parser.add_argument("--tokenizers", type=Path, metavar="DIR", help="folder of *.json.gz tokenizers for 'trie'")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one table for each name."""
    unknown = [name for name in args.names if name not in BENCHMARKS]
    if unknown:
        raise RequestError(f"no benchmark is called {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    for name in args.names or BENCHMARKS:
        importlib.import_module(f"benchmarks.{name}").run(args)
    return 0
