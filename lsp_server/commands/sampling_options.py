"""The options of sampling: one for each field of the engine's `SamplingParams`, in three groups."""

import argparse
from dataclasses import fields
from typing import Any

from engine import STRATEGIES, SamplingParams, Strategy

# Field of SamplingParams: the placeholder for its value, and what it does.
_DRAWING = {
    "temperature": ("T", "0 is greedy"),
    "top_k": ("N", "draw from the N most probable tokens"),
    "top_p": ("P", "draw from the most probable tokens that reach mass P"),
    "min_p": ("P", "draw from tokens with at least P times the probability of the best"),
    "top_n_sigma": ("N", "draw from tokens within N standard deviations of the best"),
    "eta": ("E", "leave out tokens below a bound that follows the entropy"),
    "epsilon": ("E", "leave out tokens less probable than E"),
    "bat": ("E", "basis-aware truncation with threshold E"),
}
_PENALTIES = {
    "repetition_penalty": ("R", "divide the logits of tokens that occur already"),
    "frequency_penalty": ("F", "take F off for each time a token occurs"),
    "presence_penalty": ("Q", "take Q off where a token occurs"),
    "no_repeat_ngram": ("N", "write no N tokens in a row that occur already"),
}
_STRATEGY_PARAMETERS = {
    "edt_base": ("N", "edt: base of the temperature"),
    "edt_theta": ("X", "edt: how fast it falls with the entropy"),
    "adapt_line_start": ("T", "adapt: temperature where a line begins"),
    "adapt_elsewhere": ("T", "adapt: temperature elsewhere"),
    "adapt_top_p": ("P", "adapt: mass to draw from"),
    "kl_sigma": ("X", "kl: divergence that halves the temperature"),
    "gate_entropy_bits": ("X", "entropy-gate: low entropy is below this"),
    "gate_varentropy_bits": ("X", "entropy-gate: low varentropy is below this"),
    "gate_temperature": ("X", "entropy-gate: factor where the entropy is high"),
    "gate_top_p": ("P", "entropy-gate: mass to draw from where both are high"),
    "sed_ratio": ("X", "sed: look ahead where the second token has this share of the first"),
    "sed_branches": ("N", "sed: tokens to look behind"),
    "sed_tokens": ("N", "sed: how far"),
    "beam_width": ("N", "beam, best-first: beams"),
    "length_alpha": ("X", "beam, best-first: exponent of the length"),
    "branches": ("N", "branch: first tokens that are followed"),
}


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """``--strategy``, ``--seed`` and what belongs to single strategies."""
    parser.add_argument(
        "--strategy", choices=STRATEGIES, help="default: sample with any of the options for drawing, else greedy"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same completion")
    for title, options in (
        ("options for drawing", _DRAWING),
        ("penalties", _PENALTIES),
        ("parameters of single strategies", _STRATEGY_PARAMETERS),
    ):
        group = parser.add_argument_group(title)
        for name, (value, text) in options.items():
            default = _DEFAULTS[name]
            off = ", off" if options is not _STRATEGY_PARAMETERS and name != "temperature" else ""
            group.add_argument(
                f"--{name.replace('_', '-')}",
                type=type(default),
                metavar=value,
                help=f"{text} (default: {default:g}{off})",
            )


def sampling_params(args: argparse.Namespace) -> SamplingParams:
    """The parameters. The command line comes before the environment. Raises `RequestError`."""
    given = {name: value for name in _DEFAULTS if (value := getattr(args, name)) is not None}
    environment = args.environment
    drawing: Strategy | None = "sample" if any(name in given for name in _DRAWING) else None
    strategy: Strategy = args.strategy or drawing or environment.get("strategy", SamplingParams().strategy)
    if SamplingParams(strategy=strategy).draws:
        given = {name: environment[name] for name in ("temperature", "top_p") if name in environment} | given
    return SamplingParams(strategy=strategy, seed=args.seed, **given)


_DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in fields(SamplingParams) if field.name not in ("strategy", "seed")
}
