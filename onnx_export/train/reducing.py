"""A foreign model made smaller before it is trained: fewer layers, fewer entries of its vocabulary.

What is taken away hurts at once, and the training has to heal it. Bits a byte are measured after the cut, before the
first step.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import LlamaConfig

from engine.errors import ExportError, TrainingError
from engine.model_folder.manifest import ControlIds
from onnx_export.gguf.tokenizer import TokenizerOfFile
from onnx_export.train.corpus import Document
from onnx_export.train.foreign import EMBEDDING, HEAD, Foreign
from onnx_export.vocabulary_cut import cut_tokenizer, kept_entries

LANGUAGE_CHARS = 4_000_000
"""Text of each language that decides which entries stay; more changes little and takes longer."""
_FEWEST_USES = 3
_LAYER = re.compile(r"model\.layers\.(\d+)\.")


def with_fewer_layers(foreign: Foreign, layers: int) -> Foreign:
    """The model without the layers before its last one, so that `layers` are left.

    Those change the hidden state least, and the last one is needed (Gromov et al., The Unreasonable Ineffectiveness of
    the Deeper Layers, 2024). Errors: TrainingError if it has fewer layers, or less than two would be left.
    """
    present = foreign.config.num_hidden_layers
    if not 2 <= layers <= present:
        raise TrainingError(
            f"--layers is {layers}, but {foreign.name} has {present}: give a number from 2 to {present}"
        )
    numbers = {**{layer: layer for layer in range(layers - 1)}, present - 1: layers - 1}
    state = {}
    for name, values in foreign.state.items():
        match = _LAYER.match(name)
        if match is None:
            state[name] = values
        elif int(match[1]) in numbers:
            state[f"model.layers.{numbers[int(match[1])]}.{name[match.end() :]}"] = values
    return replace(foreign, config=_changed(foreign.config, num_hidden_layers=layers), state=state)


def with_fewer_entries(foreign: Foreign, documents: Sequence[Document], entries: int) -> Foreign:
    """The model with at most `entries` entries of its vocabulary: those that the documents use most, by language.

    Errors: TrainingError if they are too few for single bytes and control tokens.
    """
    raw = json.loads(foreign.tokenizer)
    raw["model"]["merges"] = [m.split(" ") if isinstance(m, str) else m for m in raw["model"]["merges"]]
    control = ControlIds(foreign.config.bos_token_id, (foreign.config.eos_token_id,), foreign.config.pad_token_id)
    whole = TokenizerOfFile(json.dumps(raw, ensure_ascii=False), len(raw["model"]["vocab"]), control, None, None)
    try:
        kept = kept_entries(whole, entry_scores(Tokenizer.from_str(whole.text), documents), entries)
    except ExportError as error:
        raise TrainingError(f"--entries: {error}") from None
    cut = cut_tokenizer(whole, kept)
    new = {token: number for number, token in enumerate(kept.tolist())}
    rows = torch.from_numpy(kept)
    state = {name: values[rows] if name in (EMBEDDING, HEAD) else values for name, values in foreign.state.items()}
    roles = {f"{role}_token_id": new[getattr(foreign.config, f"{role}_token_id")] for role in ("bos", "eos", "pad")}
    config = _changed(foreign.config, vocab_size=len(kept), **roles)
    fresh = tuple(sorted(new[token] for token in foreign.fresh))
    return replace(foreign, config=config, tokenizer=cut.text, fresh=fresh, state=state)


def entry_scores(tokenizer: Tokenizer, documents: Sequence[Document]) -> NDArray[np.float64]:
    """How much of the text each entry writes, ``[ids]``; 0 for entries that occur fewer than three times.

    As `onnx_export.entry_counts` for the export: a language with a hundred times the text has ten times the weight.
    """
    tokenizer.encode_special_tokens = True
    size = max(tokenizer.get_vocab().values()) + 1
    scores, total = np.zeros(size), np.zeros(size, np.int64)
    for texts in _texts(documents).values():
        counts = np.zeros(size, np.int64)
        for text in texts:
            counts += np.bincount(tokenizer.encode(text, add_special_tokens=False).ids, minlength=size)
        scores += counts / math.sqrt(max(1, int(counts.sum())))
        total += counts
    return np.where(total < _FEWEST_USES, 0.0, scores)


def _texts(documents: Sequence[Document]) -> Mapping[str, Sequence[str]]:
    """Evenly spaced texts of each language, at most about `LANGUAGE_CHARS` of it."""
    by_language: defaultdict[str, list[str]] = defaultdict(list)
    for document in documents:
        by_language[document.language].append(document.text)
    result = {}
    for language, texts in by_language.items():
        result[language] = texts[:: math.ceil(sum(map(len, texts)) / LANGUAGE_CHARS) or 1]
    return result


def _changed(config: LlamaConfig, **changes: int) -> LlamaConfig:
    values = config.to_dict()
    values.pop("layer_types", None)
    return LlamaConfig(**{**values, **changes})
