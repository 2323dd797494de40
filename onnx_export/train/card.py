"""What a trained model says of itself: the notes that the exporter copies into the manifest, and the model card."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from onnx_export.train.corpus import Corpus, Document

CARD = """# {name}

A small Llama for completing Python, with superword tokens, made to be shipped with an editor plugin and to be trained
from nothing on two processor cores. It knows the idioms of Python and of the packages below; it is not a general code
model.

| | |
|---|---|
| parameters | {parameters:,} (embedding and head tied) |
| vocabulary | {vocabulary:,} byte-level BPE entries that may span words; {bytes_per_token:.2f} bytes a token |
| context | {context_length:,} tokens, all of it used in training |
| training text | {train_files:,} files, {train_mb:.1f} MB, weighted as docs/models.md of Midtoken says |
| seen in training | {tokens_seen:,} tokens in {steps:,} steps, {training_minutes:.0f} minutes on {device} |
| held out | {held_out_files} files, {held_out_kb:,.0f} kB: {held_out_bits_per_byte:.3f} bits a byte, not quantised |

Half of the samples are arranged for filling in the middle, cut on characters: prefix-suffix-middle and
suffix-prefix-middle in equal parts. In three pieces of ten the names of the project are replaced by others, so that the
model learns to take names from the text above. Held-out files are chosen by a hash of their path.

## Training text and licences
{sources}

Licences are those of each file: its header's, its folder's or its package's, permissive ones only. Vendored, generated
and minified files, tables and near duplicates are left out; tests and large packages weigh less. bottle, peewee and
trio are never read: the model is judged on them. The weights are distributed under Apache-2.0.

## Limits
- Python only. Other languages come out as Python.
- Packages that are not in the table are unknown to it, except as far as the file being edited shows them.
- It is small and has seen little text. Expect idioms, repeated patterns and the rest of a word; after a line or two it
  repeats itself, and it invents names freely.
- It may write short passages of its training text word for word.
"""


def source_notes(size: str, corpus: Corpus) -> dict[str, Any]:
    """Contents of midtoken-source.json: what the exporter cannot read from the weights."""
    return {
        "name": model_name(size),
        "licence": f"Apache-2.0 (weights); training text: {', '.join(_licences(corpus.train)) or 'not stated'}",
        "training_data": f"{', '.join(_names(corpus.train))}; 2 % of the files held out",
        "fim_orders": ["spm", "psm"],  # better on held-out middles, and its prefix stays cached while one types
        # One sample in twelve has a name, always with a piece of another file: a name alone misleads in a short file.
        "file_tokens": False,
    }


def model_card(figures: Mapping[str, Any], size: str, corpus: Corpus) -> str:
    """The card in Markdown; `figures` are those of `finish.run_figures` and the run's settings."""
    device = "a GPU" if figures["settings"]["device"] == "cuda" else "a processor with few cores"
    values = dict(figures) | {
        "name": model_name(size),
        "sources": _table(corpus.train),
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


def _table(documents: Sequence[Document]) -> str:
    rows = ["| source | files | MB | licences of its files |", "|---|---|---|---|"]
    for name, group in _packages(documents):
        size = sum(len(document.text.encode()) for document in group) / 1e6
        counts = Counter(document.licence or "not stated" for document in group)
        licences = ", ".join(f"{licence} ({count})" for licence, count in counts.most_common())
        rows.append(f"| {name} | {len(group)} | {size:.1f} | {licences} |")
    return "\n".join(rows)


def _names(documents: Sequence[Document]) -> list[str]:
    return [name for name, _ in _packages(documents)]


def _packages(documents: Iterable[Document]) -> list[tuple[str, list[Document]]]:
    """Documents by source, named with its version."""
    found = groupby(documents, key=lambda document: (document.package, document.version))
    return [
        (f"{package} {version}".strip() or "a folder of sources", list(group)) for (package, version), group in found
    ]


def _licences(documents: Sequence[Document]) -> list[str]:
    """The single licences that occur in the documents' expressions, by name."""
    names = {name.strip(" ()") for document in documents for name in re.split(r" AND | OR ", document.licence)}
    return sorted(names - {""})
