"""Arguments that the benchmarks run as modules share."""

import argparse
from pathlib import Path


def parser_for(doc: str | None, *, model: bool = False, seed: bool = False) -> argparse.ArgumentParser:
    """A parser that shows a module's ``doc`` as its help, with ``--model`` and ``--seed`` if they are wanted."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if model:
        parser.add_argument("--model", type=Path, help="model folder (default: the bundled model)")
    if seed:
        parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    return parser
