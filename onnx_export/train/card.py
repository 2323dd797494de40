"""What a trained model says of itself: the notes that the exporter copies into the manifest, and the model card."""

import platform
from collections.abc import Mapping
from typing import Any

LICENCE = "Apache-2.0 (weights); training text: PSF-2.0"

CARD = """# {name}

A small Llama for completing Python, with superword tokens, made to be shipped with an editor plugin and to be trained
from nothing in about an hour on two processor cores. It knows the idioms and the modules of the standard library; it is
not a general code model.

| | |
|---|---|
| parameters | {parameters:,} (embedding and head tied) |
| vocabulary | {vocabulary:,} byte-level BPE entries that may span words; {bytes_per_token:.2f} bytes a token |
| context | {context_length:,} tokens, all of it used in training |
| training text | the standard library of {python}: {train_files:,} files, {train_mb:.1f} MB |
| seen in training | {tokens_seen:,} tokens in {steps:,} steps, {training_minutes:.0f} minutes on {device} |
| held out | {held_out_files} files, {held_out_kb:,.0f} kB: {held_out_bits_per_byte:.3f} bits a byte, not quantised |

Codec tables and exact duplicates are left out of the text, tests of the library are down-weighted, and the held-out
files are chosen by a hash of their path. Half of the samples are arranged for filling in the middle, cut on characters:
prefix-suffix-middle and suffix-prefix-middle in equal parts.

## Licence
The training text is the standard library of Python, under the Python Software Foundation License 2.0, written by the
Python Software Foundation and its contributors. The weights are distributed under Apache-2.0.

## Limits
- Python only. Other languages come out as Python.
- Third-party packages are unknown to it, except as far as the file being edited shows them.
- It is small and has seen little text. Expect idioms, repeated patterns and the rest of a word; after a line or two it
  repeats itself, and it invents names freely.
- It may write short passages of the standard library word for word.
"""


def source_notes(size: str) -> dict[str, Any]:
    """Contents of midtoken-source.json: what the exporter cannot read from the weights."""
    return {
        "name": model_name(size),
        "licence": LICENCE,
        "training_data": f"the standard library of {_python()} (PSF-2.0), 2 % of the files held out",
        "fim_orders": ["spm", "psm"],  # better on held-out middles, and its prefix stays cached while one types
    }


def model_card(figures: Mapping[str, Any], size: str) -> str:
    """The card in Markdown; `figures` are those of `finish.run_figures` and the run's settings."""
    device = "a GPU" if figures["settings"]["device"] == "cuda" else "a processor with few cores"
    values = dict(figures) | {
        "name": model_name(size),
        "python": _python(),
        "device": device,
        "train_mb": figures["train_bytes"] / 1e6,
        "held_out_kb": figures["held_out_bytes"] / 1e3,
        "training_minutes": figures["training_s"] / 60,
        "held_out_bits_per_byte": figures.get("held_out_bits_per_byte", float("nan")),
    }
    return CARD.format(**values)


def model_name(size: str) -> str:
    """Name of the model in its manifest."""
    return f"midtoken-python-{size}"


def _python() -> str:
    return f"Python {platform.python_version()}"
