"""Options that several commands share, and what they mean for the engine."""

import argparse
from pathlib import Path
from typing import Any

from engine import (
    DEVICES,
    HEALING_MODES,
    STRATEGIES,
    Completer,
    HealingParams,
    SamplingParams,
    StopParams,
)


def add_command(commands: Any, name: str, summary: str, example: str) -> argparse.ArgumentParser:
    """A subcommand whose ``--help`` ends with an example."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """``--model`` and ``--device``."""
    parser.add_argument("--model", type=Path, metavar="DIR", help="model folder (default: the bundled model)")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where the model runs (default: auto)")


def add_healing_option(parser: argparse.ArgumentParser) -> None:
    """``--healing``."""
    default = HealingParams().mode
    parser.add_argument("--healing", choices=HEALING_MODES, default=default, help=f"default: {default}")


def add_completion_options(parser: argparse.ArgumentParser) -> None:
    """Everything that shapes a completion."""
    sampling, stop = SamplingParams(), StopParams()
    add_healing_option(parser)
    parser.add_argument("--max-new-tokens", type=int, default=stop.max_new_tokens, metavar="N")
    lines = parser.add_mutually_exclusive_group()
    lines.add_argument("--single-line", dest="lines", action="store_const", const="single", default=stop.lines)
    lines.add_argument("--multi-line", dest="lines", action="store_const", const="multi", help="up to the block's end")
    parser.add_argument("--strategy", choices=STRATEGIES, help="default: sample with a temperature, else greedy")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 is greedy")
    parser.add_argument("--top-k", type=int, default=sampling.top_k, metavar="N", help="0 keeps all (default)")
    parser.add_argument("--top-p", type=float, default=sampling.top_p, metavar="P", help="1 keeps all (default)")
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same completion")
    parser.add_argument("--budget-ms", type=float, metavar="N", help="return what is written by then")


def healing_params(args: argparse.Namespace) -> HealingParams:
    """Raises `RequestError`, as the two below do."""
    return HealingParams(mode=args.healing)


def sampling_params(args: argparse.Namespace) -> SamplingParams:
    """A strategy that is not named follows from the temperature."""
    default = SamplingParams()
    strategy = args.strategy or (default.strategy if args.temperature is None else "sample")
    temperature = default.temperature if args.temperature is None else args.temperature
    return SamplingParams(strategy, temperature, args.top_k, args.top_p, args.seed)


def stop_params(args: argparse.Namespace) -> StopParams:
    """Length and line rule."""
    return StopParams(max_new_tokens=args.max_new_tokens, lines=args.lines)


def load_completer(args: argparse.Namespace, warn: Any) -> Completer:
    """Load the model of ``--model`` on ``--device``; ``warn`` is called with each line the user should see."""
    completer = Completer.load(args.model, device=args.device)
    for notice in completer.notices:
        warn(notice)
    return completer
