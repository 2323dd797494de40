"""What a trained model says about itself: the notes that the exporter copies into the manifest, and the model card."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from onnx_export.train.corpus import Corpus, Document
from onnx_export.train.origin import Origin

CARD = """# {name}

A small Llama for completing code, with superword tokens, made to be shipped with an editor plugin and to be trained
from nothing on two processor cores. It knows the idioms of the packages below; it is not a general code model.

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
- Trained on {languages} only. In other languages it mostly continues what stands in the document already.
- Packages that are not in the table are unknown to it, except as far as the file being edited shows them.
- It is small and has seen little text. Expect idioms, repeated patterns and the rest of a word; after a line or two it
  repeats itself, and it invents names freely.
- It may write short passages of its training text word for word.
"""


CARD_OF_ANOTHER = """# {name}

{origin}, trained further to fill in the middle of code.

| | |
|---|---|
| parameters | {parameters:,} |
| vocabulary | {vocabulary:,} entries, those of {origin}; {bytes_per_token:.2f} bytes a token |
| licence of the weights it began with | {origin_licence} |
| training text | {train_files:,} files, {train_mb:.1f} MB |
| seen in this training | {tokens_seen:,} tokens in {steps:,} steps, {training_minutes:.0f} minutes on {device} |
| plain text | {plain:.0%} of the samples; the others in the orders {orders}, cut on characters |
| held out, plain text | {held_out_files} files: {before:.3f} bits a byte before, {held_out_bits_per_byte:.3f} after |

## Text of this training and its licences
{sources}

## Limits
- It may write short passages of its training text word for word.
"""


def source_notes(settings: Mapping[str, Any], corpus: Corpus, origin: Origin | None = None) -> dict[str, Any]:
    """Contents of midtoken-source.json: what the exporter cannot read from the weights."""
    text = f"training text: {', '.join(_licences(corpus.train)) or 'not stated'}"
    data = f"{', '.join(_names(corpus.train))}; 2 % of the files held out"
    started = None
    if origin is not None:
        text = f"as {origin.name}, {origin.licence or 'not stated'}; {text}"
        started, data = origin.name, f"{origin.name}, then {data}"
    return {
        "name": model_name(settings["size"], origin),
        "licence": f"Apache-2.0 (weights); {text}" if origin is None else text,
        "training_data": data,
        "fim_orders": _orders(settings.get("spm_share", 0.5)),
        **({} if started is None else {"started_from": started}),
        # In training, one sample in twelve had a file name, always with a piece of another file. So a name alone
        # misleads the model in a short file.
        "file_tokens": False,
    }


def _orders(spm_share: float) -> list[str]:
    """The orders, suffix first if it was trained: it is better on held-out middles, and its prefix stays cached
    during typing.
    """
    return ["spm", "psm"] if 0.0 < spm_share < 1.0 else ["spm" if spm_share else "psm"]


def model_card(figures: Mapping[str, Any], size: str, corpus: Corpus, origin: Origin | None = None) -> str:
    """The card in Markdown. `figures` are those of `finish.run_figures` and the run's settings."""
    device = "a GPU" if figures["settings"]["device"] == "cuda" else "a processor with few cores"
    values = dict(figures) | {
        "name": model_name(size, origin),
        "sources": _table(corpus.train),
        "languages": _languages(corpus.train),
        "device": device,
        "train_mb": figures["train_bytes"] / 1e6,
        "held_out_kb": figures["held_out_bytes"] / 1e3,
        "training_minutes": figures["training_s"] / 60,
        "held_out_bits_per_byte": figures.get("held_out_bits_per_byte", float("nan")),
    }
    if origin is None:
        return CARD.format(**values)
    settings = figures["settings"]
    before = float("nan") if origin.bits_before is None else origin.bits_before
    values |= {"origin": origin.name, "origin_licence": origin.licence or "not stated", "before": before}
    values |= {"plain": 1.0 - settings["fim_rate"], "orders": " and ".join(_orders(settings["spm_share"]))}
    return CARD_OF_ANOTHER.format(**values)


def model_name(size: str, origin: Origin | None = None) -> str:
    """Name of the model in its manifest."""
    return f"midtoken-python-{size}" if origin is None else f"{origin.name} (middle)"


def _table(documents: Sequence[Document]) -> str:
    rows = ["| source | files | MB | licences of its files |", "|---|---|---|---|"]
    for name, group in _packages(documents):
        size = sum(len(document.text.encode()) for document in group) / 1e6
        counts = Counter(document.licence or "not stated" for document in group)
        licences = ", ".join(f"{licence} ({count})" for licence, count in counts.most_common())
        rows.append(f"| {name} | {len(group)} | {size:.1f} | {licences} |")
    return "\n".join(rows)


def _languages(documents: Sequence[Document]) -> str:
    """The languages of the documents, that with the most text first."""
    sizes: Counter[str] = Counter()
    for document in documents:
        sizes[document.language] += len(document.text)
    return ", ".join(language for language, _ in sizes.most_common())


def _names(documents: Sequence[Document]) -> list[str]:
    return [name for name, _ in _packages(documents)]


def _packages(documents: Iterable[Document]) -> list[tuple[str, list[Document]]]:
    """The documents of each source, with its version."""
    found = groupby(documents, key=lambda document: (document.package, document.version))
    return [
        (f"{package} {version}".strip() or "a folder of sources", list(group)) for (package, version), group in found
    ]


def _licences(documents: Sequence[Document]) -> list[str]:
    """The single licences that occur in the documents' expressions, by name."""
    names = {name.strip(" ()") for document in documents for name in re.split(r" AND | OR ", document.licence)}
    return sorted(names - {""})
