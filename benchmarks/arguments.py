"""Arguments that the benchmarks run as modules share."""

import argparse
from pathlib import Path

from engine import MidtokenError
from lsp_server.models.lookup import model_folder
from lsp_server.models.names import name_or_path


def parser_for(doc: str | None, *, model: bool = False, seed: bool = False) -> argparse.ArgumentParser:
    """A parser that shows a module's ``doc`` as its help, with ``--model`` and ``--seed`` if they are wanted."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if model:
        told = "a name of 'midtoken models', or a model folder (default: the bundled model)"
        parser.add_argument("--model", type=model_named, metavar="NAME|DIR", help=told)
    if seed:
        parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    return parser


def model_named(text: str) -> Path | None:
    """The folder of the model that a name or a path stands for. Raises `argparse.ArgumentTypeError`."""
    try:
        return model_folder(name_or_path(text))
    except MidtokenError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
