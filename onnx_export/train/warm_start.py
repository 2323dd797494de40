"""Initial weights from another model of the same shape, whatever its tokenizer.

The layers are taken unchanged. An entry of the new vocabulary takes the embedding of the old entry with the same bytes
or, if there is none, the mean embedding of the tokens with which the old tokenizer writes its text.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer

from engine.errors import TrainingError
from onnx_export.train.tokenizer import CONTROL_TOKENS, text_only

EMBEDDING = "model.embed_tokens.weight"


def warm_start(model: Any, tokenizer: Tokenizer, folder: Path) -> None:
    """Fill `model` in place from the finished model in `folder` (the `model` folder of another run).

    Errors: TrainingError if the folder is not such a model, or the model has another shape.
    """
    try:
        weights = load_file(folder / "model.safetensors")
        old = text_only(Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8")))
    except (OSError, SafetensorError, ValueError) as error:
        raise TrainingError(f"{folder} is not a finished model of this recipe: {error}") from error
    except Exception as error:  # the tokenizers library raises plain Exception
        raise TrainingError(f"{folder / 'tokenizer.json'} is damaged") from error
    weights.pop("lm_head.weight", None)
    try:
        weights[EMBEDDING] = carried_rows(weights[EMBEDDING], old, tokenizer)
        model.load_state_dict(weights | {"lm_head.weight": weights[EMBEDDING]})
    except (KeyError, RuntimeError) as error:
        raise TrainingError(f"the model in {folder} has another shape: choose its --size") from error


def carried_rows(rows: torch.Tensor, old: Tokenizer, new: Tokenizer) -> torch.Tensor:
    """Embedding [new entries, D] from `rows` [old entries, D]."""
    known = old.get_vocab()
    result = torch.empty(new.get_vocab_size(), rows.shape[1], dtype=rows.dtype)
    for spelling, number in new.get_vocab().items():
        same = known.get(spelling)
        ids = [same] if same is not None else _pieces(spelling, old, new, number)
        result[number] = rows[ids].mean(dim=0)
    return result


def _pieces(spelling: str, old: Tokenizer, new: Tokenizer, number: int) -> list[int]:
    assert spelling not in CONTROL_TOKENS, "a tokenizer without our control tokens"
    text = new.decode([number], skip_special_tokens=False)
    if "\ufffd" in text:  # a part of a character: the old vocabulary has its bytes as single entries
        return [old.get_vocab()[character] for character in spelling]
    ids: list[int] = old.encode(text, add_special_tokens=False).ids
    return ids
