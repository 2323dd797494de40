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
CHANGE_TEXTS, CHANGE_TOKENS = 16, 512
"""How many documents show which layers change little, and the tokens that are read of each."""
MOST_CHARS = 4 * CHANGE_TOKENS
_FEWEST_USES = 3
_LAYER = re.compile(r"model\.layers\.(\d+)\.")


def with_fewer_layers(foreign: Foreign, documents: Sequence[Document], layers: int) -> Foreign:
    """The model without the layers that change the hidden state least, so that `layers` are left.

    The change is measured on text of the documents (Men et al., ShortGPT: Layers in Large Language Models are More
    Redundant Than You Expect, 2024). The last layer always stays. Errors: TrainingError if the model has fewer layers,
    or less than two would be left.
    """
    present = foreign.config.num_hidden_layers
    if not 2 <= layers <= present:
        raise TrainingError(
            f"--layers is {layers}, but {foreign.name} has {present}: give a number from 2 to {present}"
        )
    if layers == present:
        return foreign
    changes = layer_changes(foreign, documents)
    kept = sorted([*np.argsort(-changes, kind="stable")[: layers - 1].tolist(), present - 1])
    numbers = {layer: number for number, layer in enumerate(kept)}
    print(f"layers dropped: {[layer for layer in range(present) if layer not in numbers]}", flush=True)
    state = {}
    for name, values in foreign.state.items():
        match = _LAYER.match(name)
        if match is None:
            state[name] = values
        elif int(match[1]) in numbers:
            state[f"model.layers.{numbers[int(match[1])]}.{name[match.end() :]}"] = values
    return replace(foreign, config=_changed(foreign.config, num_hidden_layers=layers), state=state)


def layer_changes(foreign: Foreign, documents: Sequence[Document]) -> NDArray[np.float64]:
    """How far each layer but the last turns the hidden state, ``[layers - 1]``: one minus the cosine of what goes in
    and what comes out, the mean over the tokens of some documents.
    """
    tokenizer = Tokenizer.from_str(foreign.tokenizer)
    model = foreign.build().eval()
    texts = [document.text for document in documents[:: math.ceil(len(documents) / CHANGE_TEXTS)]]
    ids = [tokenizer.encode(text[:MOST_CHARS], add_special_tokens=False).ids[:CHANGE_TOKENS] for text in texts]
    ends = [foreign.config.eos_token_id]
    sums, count = np.zeros(foreign.config.num_hidden_layers - 1), 0
    with torch.inference_mode():
        for tokens in ids:
            found = model.model(input_ids=torch.tensor([ends + tokens]), output_hidden_states=True, use_cache=False)
            # Of the states, [layers + 1] of [1, S, D], the last comes after the norm. The first token is apart: its
            # state is many times as long as the others.
            states = torch.stack(found.hidden_states[:-1])[:, 0, 1:]
            likeness = torch.nn.functional.cosine_similarity(states[:-1], states[1:], dim=-1)
            sums += (1.0 - likeness).sum(dim=1).double().numpy()
            count += len(tokens)
    changes: NDArray[np.float64] = sums / max(1, count)
    return changes


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
