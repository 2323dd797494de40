"""Another maker's model to continue from, with its own tokenizer and shape: a Llama in a GGUF file or a checkpoint
folder.

Weights are read by the readers of the export, which run no code. The tokenizer is not changed except for the control
tokens of this recipe. Tokens that the model has under another spelling get our spelling and keep their rows. For the
others, unused control tokens are taken or, if there are none, entries are added. Rows of such entries begin as the mean
of the embedding and are trained like all others.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaConfig, LlamaForCausalLM

from engine.errors import ExportError, TrainingError
from engine.model_folder.fim_spellings import fim_templates
from engine.model_folder.manifest import ControlIds
from onnx_export.checkpoint import SOURCE_NAME, read_checkpoint
from onnx_export.convert import licence_of, name_of
from onnx_export.gguf.header import read_header
from onnx_export.gguf.model import GgufModel, read_model
from onnx_export.gguf.tokenizer import read_tokenizer
from onnx_export.train.checkpoint import write_atomically
from onnx_export.train.tokenizer import CONTROL_TOKENS, END_OF_TEXT, FILE_SEPARATOR, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX
from onnx_export.weights import TensorPlace, read_rows, tensor_places, untrained_rows

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
_FILE_SPELLINGS = ("<file_sep>", "<|file_separator|>", "<filename>")
_OUTER = {"token_embd.weight": EMBEDDING, "output_norm.weight": "model.norm.weight", "output.weight": HEAD}
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A model to begin with. ``tokenizer`` is a tokenizer.json with our control tokens, ``fresh`` the ids of those that
    the model did not have. ``state`` are its weights by the names of transformers.
    """

    name: str
    licence: str
    config: LlamaConfig
    tokenizer: str
    fresh: tuple[int, ...]
    state: Mapping[str, torch.Tensor]

    def build(self) -> Any:
        """The LlamaForCausalLM, in float32. Errors: TrainingError if weights and sizes disagree."""
        model = LlamaForCausalLM(self.config).float()
        state = dict(self.state)
        if self.config.tie_word_embeddings:
            state[HEAD] = state[EMBEDDING]
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            line = str(error).splitlines()[-1].strip()
            raise TrainingError(f"{self.name} is no plain Llama ({line}): take another model to start from") from None
        return model


def is_foreign(source: Path) -> bool:
    """Whether a model to start from keeps its own tokenizer and shape: it was not made by this recipe, or began
    from such a model.
    """
    if not source.is_dir():
        return source.suffix.lower() == ".gguf"
    try:
        notes = json.loads((source / SOURCE_NAME).read_text(encoding="utf-8"))
        return bool(notes.get("started_from"))
    except (OSError, ValueError, AttributeError):
        # Without notes it is another maker's checkpoint, or not a checkpoint, which is reported when it is read.
        return (source / "config.json").exists() and not (source / SOURCE_NAME).exists()


def read_foreign(source: Path) -> Foreign:
    """Read a GGUF file or a checkpoint folder. Errors: TrainingError or ExportError, in one line."""
    return _of_gguf(source) if source.is_file() else _of_folder(source)


def give_tokenizer(foreign: Foreign, out: Path) -> None:
    """Put its tokenizer where a run looks for one. Errors: TrainingError if the run has another one, or if there is
    no room.
    """
    path = out / "tokenizer.json"
    if not path.exists():
        write_atomically(path, lambda temporary: _write(temporary, foreign.tokenizer))
    elif path.read_text(encoding="utf-8") != foreign.tokenizer:
        raise TrainingError(f"{out} is the folder of a run with another tokenizer: choose another --out")


def with_control_tokens(text: str, control: ControlIds, untrained: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """A tokenizer.json with the control tokens of this recipe, and the ids of those that are new to the model.

    ``untrained`` are entries whose rows were never shaped; unused control tokens among them are taken first.
    """
    raw = json.loads(text)
    if raw["model"].get("type") != "BPE" or raw["model"].get("byte_fallback"):
        raise TrainingError("only models with a byte-level BPE tokenizer can be trained on: take another one")
    ids = {token["content"]: int(token["id"]) for token in raw["added_tokens"]}
    known = _known(ids, control)
    taken = {*known.values(), *control.end, control.begin, control.pad}
    spare = [token["id"] for token in raw["added_tokens"] if token.get("special") and token["id"] not in taken]
    spare.sort(key=lambda token: (token in untrained, token))
    following = max([*raw["model"]["vocab"].values(), *ids.values()]) + 1
    fresh = []
    for spelling in CONTROL_TOKENS:
        if spelling not in known:
            known[spelling] = spare.pop() if spare else following
            following += known[spelling] == following
            fresh.append(known[spelling])
    return _respelled(raw, known), tuple(sorted(fresh))


def _known(ids: Mapping[str, int], control: ControlIds) -> dict[str, int]:
    """The control tokens of this recipe that a model has, under any spelling."""
    known = {END_OF_TEXT: ids.get(END_OF_TEXT, control.end[0])}
    found = fim_templates(ids)
    template = None if found is None else found.templates.get("psm")
    if template is not None and len(numbers := [part for part in template if isinstance(part, int)]) == 3:
        known |= zip((FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE), numbers, strict=True)
    file = next((ids[spelling] for spelling in (FILE_SEPARATOR, *_FILE_SPELLINGS) if spelling in ids), None)
    return known if file is None else known | {FILE_SEPARATOR: file}


def _respelled(raw: dict[str, Any], known: Mapping[str, int]) -> str:
    spellings = {token: spelling for spelling, token in known.items()}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    others = [token for token in raw["added_tokens"] if token["id"] not in spellings]
    ours = [{"id": token, "content": spelling, "special": True, **flags} for token, spelling in spellings.items()]
    vocabulary = {spellings.get(token, spelling): token for spelling, token in raw["model"]["vocab"].items()}
    raw["model"] = {**raw["model"], "vocab": vocabulary}
    raw["added_tokens"] = sorted([*others, *ours], key=lambda token: int(token["id"]))
    raw["post_processor"] = None  # the samples add begin tokens themselves
    return json.dumps(raw, ensure_ascii=False)


def _of_gguf(path: Path) -> Foreign:
    model = read_model(read_header(path))
    rope = model.decoder.layers[0].rope
    plain = rope.linear == 1.0 and not rope.factors and rope.yarn is None and rope.size == model.decoder.head_size
    if model.architecture.name != "llama" or not plain:
        raise TrainingError(f"{path} is no Llama with plain rotary positions: take another model to start from")
    tokenizer = read_tokenizer(model.file)
    state = {_named(path, name): torch.from_numpy(_values(model, name)) for name in model.file.tensors}
    inner = model.file.tensors["blk.0.ffn_up.weight"].shape[0]
    decoder = model.decoder
    context = model.file.fields["llama.context_length"]
    sizes = {
        "hidden_size": decoder.width,
        "num_hidden_layers": len(decoder.layers),
        "num_attention_heads": decoder.heads,
        "num_key_value_heads": decoder.key_value_heads,
        "head_dim": decoder.head_size,
        "intermediate_size": inner,
        "max_position_embeddings": context,
        "rms_norm_eps": decoder.epsilon,
        "rope_parameters": {"rope_type": "default", "rope_theta": rope.base},
        "tie_word_embeddings": HEAD not in state,
    }
    name, licence = name_of(model.file), licence_of(model.file)
    return _foreign(name, licence, sizes, tokenizer.text, tokenizer.control, state)


def _named(path: Path, name: str) -> str:
    if name in _OUTER:
        return _OUTER[name]
    block, layer, *rest = name.split(".")
    if block != "blk" or len(rest) != 2 or rest[0] not in _LAYER or rest[1] != "weight":
        raise TrainingError(f"{path} has a tensor {name!r}, which a plain Llama has not: take another model")
    return f"model.layers.{layer}.{_LAYER[rest[0]]}.weight"


def _values(model: GgufModel, name: str) -> Rows:
    shape = model.shape(name) or ()
    values = model.vector(name) if len(shape) == 1 else model.matrix(name).floats(0, shape[0])
    return np.array(values, np.float32)  # a copy, because the data may be read-only


def _of_folder(folder: Path) -> Foreign:
    checkpoint = read_checkpoint(folder)
    config = dict(checkpoint.config)
    if config.get("model_type") != "llama":
        raise TrainingError(f"{folder} is a {config.get('model_type')}, not a Llama: take another model to start from")
    places = tensor_places(folder)
    state = {name: torch.from_numpy(_read(place)) for name, place in places.items() if "rotary_emb" not in name}
    tied = bool(config.get("tie_word_embeddings", False)) or HEAD not in state
    if tied:
        state.pop(HEAD, None)
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    source = checkpoint.source
    sizes = config | {"tie_word_embeddings": tied}
    return _foreign(source.name, source.licence, sizes, text, checkpoint.control, state)


def _read(place: TensorPlace) -> Rows:
    """Read a tensor of any shape as float32, with the export's reader of matrices."""
    rows = place.shape if len(place.shape) == 2 else (1, int(np.prod(place.shape)))
    return read_rows(replace(place, shape=rows)).reshape(place.shape)


def _foreign(
    name: str,
    licence: str,
    sizes: Mapping[str, Any],
    tokenizer: str,
    control: ControlIds,
    state: dict[str, torch.Tensor],
) -> Foreign:
    embedding = state[EMBEDDING]
    count = min(len(embedding), 1 + max(json.loads(tokenizer)["model"]["vocab"].values()))
    try:
        text, fresh = with_control_tokens(tokenizer, control, untrained_rows(embedding.numpy(), count))
    except TrainingError as error:
        raise TrainingError(f"{name}: {error}") from None
    rows = max([len(embedding), *(token + 1 for token in fresh)])
    for matrix in (EMBEDDING, HEAD):
        if matrix in state:
            state[matrix] = _with_fresh_rows(state[matrix], count, rows, fresh)
    added = json.loads(text)["added_tokens"]
    end_id = next(token["id"] for token in added if token["content"] == END_OF_TEXT)
    roles = {"bos_token_id": end_id, "eos_token_id": end_id, "pad_token_id": end_id}
    try:
        config = LlamaConfig(**{**sizes, **roles, "vocab_size": rows, "use_cache": False})
    except (TypeError, ValueError) as error:
        raise ExportError(f"{name} has sizes that no Llama has ({error}); copy it again") from None
    return Foreign(name, licence, config, text, fresh, state)


def _with_fresh_rows(matrix: torch.Tensor, count: int, rows: int, fresh: Sequence[int]) -> torch.Tensor:
    """The matrix, ``[rows, D]``, with the mean of its first ``count`` rows where an entry is new."""
    mean = matrix[:count].mean(dim=0)
    whole = torch.cat([matrix, mean.expand(rows - len(matrix), -1)])
    whole[list(fresh)] = mean
    return whole


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
