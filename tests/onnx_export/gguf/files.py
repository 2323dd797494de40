"""GGUF files for tests, written with the `gguf` package: small models with random weights and a real tokenizer."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize

from tests.toy import byte_level, sentencepiece

WIDTH, HEADS, GROUPS, INNER, LAYERS = 64, 4, 2, 96, 2
KINDS = {"normal": 1, "unknown": 2, "control": 3, "user": 4, "unused": 5, "byte": 6}


def toy_tokenizer(writer: GGUFWriter, *, kind: str = "gpt2", pre: str = "gpt-2") -> int:
    """Write the toy vocabulary; returns the number of its entries."""
    raw = json.loads(byte_level() if kind == "gpt2" else sentencepiece())
    return write_tokenizer(writer, raw, pre=pre)


def write_tokenizer(writer: GGUFWriter, raw: Mapping[str, Any], *, pre: str = "gpt-2", special: bool = False) -> int:
    """Write a decoded tokenizer.json as llama.cpp's converter does; returns the number of entries."""
    spaced = bool(raw["model"].get("byte_fallback"))
    entries = {token: text for text, token in raw["model"]["vocab"].items()}
    kinds = {
        token: KINDS["byte"] if spaced and text.startswith("<0x") and text.endswith(">") else KINDS["normal"]
        for token, text in entries.items()
    }
    for token in raw["added_tokens"]:
        entries[token["id"]] = token["content"]
        kinds[token["id"]] = KINDS["control" if token["special"] or special else "user"]
    unknown = raw["model"].get("unk_token")
    if unknown is not None and spaced:
        kinds[raw["model"]["vocab"][unknown]] = KINDS["unknown"]
    count = max(entries) + 1
    writer.add_tokenizer_model("llama" if spaced else "gpt2")
    writer.add_token_list([entries.get(token, f"[PAD{token}]") for token in range(count)])
    writer.add_token_types([kinds.get(token, KINDS["unused"]) for token in range(count)])
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in raw["model"]["merges"]]
    if spaced:
        # SentencePiece numbers its entries by the order of their merges.
        order: dict[str, float] = {}
        for rank, merge in enumerate(merges):
            order.setdefault(merge.replace(" ", ""), -float(rank))
        writer.add_token_scores([order.get(entries.get(token, ""), -1e6) for token in range(count)])
        writer.add_add_space_prefix("Prepend" in json.dumps(raw["normalizer"]))
    else:
        writer.add_tokenizer_pre(pre)
        writer.add_token_merges(merges)
    return count


def random_tensors(
    entries: int, *, tied: bool = False, biases: bool = False, seed: int = 0
) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """The tensors of a small Llama or Qwen, large enough for every layer to affect the logits."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> Any:
        return rng.normal(0, columns**-0.5, (rows, columns)).astype(np.float32)

    def norm() -> Any:
        return rng.normal(1, 0.1, WIDTH).astype(np.float32)

    size = WIDTH // HEADS
    found = {"token_embd.weight": matrix(entries, WIDTH), "output_norm.weight": norm()}
    if not tied:
        found["output.weight"] = matrix(entries, WIDTH)
    for layer in range(LAYERS):
        for name, rows, columns in (
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", GROUPS * size, WIDTH),
            ("attn_v", GROUPS * size, WIDTH),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_gate", INNER, WIDTH),
            ("ffn_up", INNER, WIDTH),
            ("ffn_down", WIDTH, INNER),
        ):
            found[f"blk.{layer}.{name}.weight"] = matrix(rows, columns)
            if biases and name in ("attn_q", "attn_k", "attn_v"):
                found[f"blk.{layer}.{name}.bias"] = rng.normal(0, 0.1, rows).astype(np.float32)
        found |= {f"blk.{layer}.attn_norm.weight": norm(), f"blk.{layer}.ffn_norm.weight": norm()}
    return found


def write_model(
    path: Path,
    *,
    architecture: str = "llama",
    fields: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Any] | None = None,
    kind: str = "gpt2",
    pre: str = "gpt-2",
    types: Sequence[str] = ("F32",),
    leave_out: Sequence[str] = (),
    raw: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Write a small model. Returns its tensors as floats before they are quantised.

    The matrices take their types from ``types`` in turn. ``fields`` are added to the usual ones or replace them; those
    of ``leave_out`` are not written. ``raw`` is a decoded tokenizer.json to use instead of the toy vocabulary.
    """
    writer = GGUFWriter(None, architecture)
    entries = toy_tokenizer(writer, kind=kind, pre=pre) if raw is None else write_tokenizer(writer, raw, pre=pre)
    usual = {
        "general.name": "small",
        "general.license": "apache-2.0",
        f"{architecture}.context_length": 192,
        f"{architecture}.embedding_length": WIDTH,
        f"{architecture}.block_count": LAYERS,
        f"{architecture}.feed_forward_length": INNER,
        f"{architecture}.attention.head_count": HEADS,
        f"{architecture}.attention.head_count_kv": GROUPS,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{architecture}.rope.freq_base": 10000.0,
        "tokenizer.ggml.eos_token_id": entries - 4 if raw is None else entries - 1,
    }
    for name, value in {**usual, **(fields or {})}.items():
        if name not in leave_out:
            add_field(writer, name, value)
    found = random_tensors(entries, **options) if tensors is None else dict(tensors)
    matrices = 0
    for name, values in found.items():
        if values.ndim < 2:
            writer.add_tensor(name, values)
            continue
        chosen = GGMLQuantizationType[types[matrices % len(types)]]
        matrices += 1
        writer.add_tensor(name, quantize(values, chosen), raw_dtype=chosen)
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return found


def add_field(writer: GGUFWriter, name: str, value: Any) -> None:
    """Add a field with the type of its value."""
    kinds = {bool: gguf.GGUFValueType.BOOL, int: gguf.GGUFValueType.UINT32, float: gguf.GGUFValueType.FLOAT32}
    if isinstance(value, list):
        writer.add_array(name, value)
    else:
        writer.add_key_value(name, value, kinds.get(type(value), gguf.GGUFValueType.STRING))
