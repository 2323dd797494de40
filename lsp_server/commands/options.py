"""Options that several commands share, and what they mean for the engine.

Defaults come from ``MIDTOKEN_*`` in the environment if set, and otherwise from the engine's own parameters.
"""

import argparse
import os
import sys

from engine import (
    DEVICES,
    HEALING_MODES,
    SPECULATIONS,
    Completer,
    HealingParams,
    LineMode,
    StopParams,
    probe_model,
)
from lsp_server.commands.sampling_options import add_sampling_options
from lsp_server.models.lookup import model_folder
from lsp_server.models.names import name_or_path
from lsp_server.settings import read_environment

_ENVIRONMENT = "The settings' variables MIDTOKEN_* (such as MIDTOKEN_MODEL) give the defaults of these options."


def set_example(parser: argparse.ArgumentParser, *examples: str) -> None:
    """End ``--help`` with examples."""
    title = "example" if len(examples) == 1 else "examples"
    parser.epilog = "\n".join([f"{title}:", *(f"  {example}" for example in examples)])


def use_environment(parser: argparse.ArgumentParser) -> None:
    """Make ``MIDTOKEN_*`` the defaults of the options. Problems with them are in ``args.environment_notes``."""
    values, notes = read_environment(os.environ)
    parser.set_defaults(environment=values, environment_notes=notes)
    names = ("model", "device", "healing", "max_surprise_bits", "max_new_tokens", "budget_ms", "speculation")
    parser.set_defaults(**{name: values[name] for name in names if name in values})
    if values.get("multi_line", "auto") != "auto":
        parser.set_defaults(lines="multi" if values["multi_line"] else "single")
    parser.epilog = f"{parser.epilog}\n\n{_ENVIRONMENT}"


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """``--model`` and ``--device``."""
    parser.add_argument(
        "--model",
        type=name_or_path,
        metavar="NAME|DIR",
        help="a name of 'midtoken models', or a model folder (default: the bundled model)",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where the model runs (default: auto)")


def add_healing_option(parser: argparse.ArgumentParser) -> None:
    """``--healing``."""
    default = HealingParams().mode
    help_text = f"what is done about a partial token at the cursor (default: {default})"
    parser.add_argument("--healing", choices=HEALING_MODES, default=default, help=help_text)
    add_surprise_option(parser)


def add_surprise_option(parser: argparse.ArgumentParser) -> None:
    """``--max-surprise-bits``."""
    parser.add_argument(
        "--max-surprise-bits",
        type=float,
        default=HealingParams().max_surprise_bits,
        metavar="B",
        help="complete nothing where the typed text surprises the model by more (default: no bound)",
    )


def add_completion_options(parser: argparse.ArgumentParser) -> None:
    """All options of a completion except its healing."""
    stop = StopParams()
    parser.add_argument(
        "--max-new-tokens",
        type=int,
        default=stop.max_new_tokens,
        metavar="N",
        help=f"end after N tokens (default: {stop.max_new_tokens})",
    )
    lines: LineMode = stop.lines
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--single-line",
        dest="lines",
        action="store_const",
        const="single",
        default=lines,
        help=f"end before the next line break{' (default)' if lines == 'single' else ''}",
    )
    group.add_argument(
        "--multi-line", dest="lines", action="store_const", const="multi", help="end with the indented block"
    )
    add_sampling_options(parser)
    parser.add_argument(
        "--speculation",
        choices=SPECULATIONS,
        default="off",
        help="verify drafts of the next tokens where that saves time (default: off, so that two runs agree)",
    )
    parser.add_argument("--budget-ms", type=float, metavar="N", help="return what is written after N milliseconds")


def healing_params(args: argparse.Namespace) -> HealingParams:
    """The healing parameters. Raises `RequestError`."""
    return HealingParams(mode=args.healing, max_surprise_bits=args.max_surprise_bits)


def stop_params(args: argparse.Namespace) -> StopParams:
    """When the completion ends. Raises `RequestError`."""
    return StopParams(max_new_tokens=args.max_new_tokens, lines=args.lines)


def load_completer(args: argparse.Namespace) -> Completer:
    """Try the model of ``--model``, then load it on ``--device``. Lines for the user go to standard error."""
    folder = model_folder(args.model)
    probe_model(folder)
    completer = Completer.load(folder, device=args.device)
    for notice in completer.notices:
        print(f"midtoken: {notice}", file=sys.stderr)
    return completer
