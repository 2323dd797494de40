"""Hostile files of a model folder, one class for each kind: how one is made, and what reads it."""

import hashlib
import json
import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ModelFolderError
from engine.loading import load_tokenizer
from engine.model_folder.foreign import derive_manifest, find_foreign
from engine.model_folder.graph_file import check_graph_file
from engine.model_folder.manifest import MANIFEST_NAME, dump_manifest, load_manifest, parse_manifest
from engine.runtime.graph import check_graph, open_graph
from engine.text.tokenizer import Tokenizer
from onnx_export.convert import convert
from onnx_export.weights import EMBEDDINGS, find, read_rows, tensor_places
from tests.fakes import (
    ATTENTION_GRAPH,
    ATTENTION_HEAD,
    SEPARATE_GRAPH,
    control_ids,
    make_manifest,
    toy_fim,
    toy_tokenizer,
)
from tests.fuzz.mutations import hostile_value, json_bytes, mutate_bytes, mutate_json
from tests.onnx_wire import field, function, graph, graph_attribute, model, node, tensor, tensor_attribute
from tests.toy import TOYS

TEXT = "def f(self):\n    return 'größe 中 \u0301'  # 12 123\n\tself.name = numpy\n"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: ``make`` writes a hostile file into an empty folder, ``read`` reads it as the program would."""

    make: Callable[[random.Random, Path], None]
    read: Callable[[Path], object]


def _changes(chance: random.Random) -> int:
    return chance.choice([1, 1, 1, 2, 3, 8])


def make_manifest_file(chance: random.Random, folder: Path) -> None:
    tokenizer = toy_tokenizer("byte-level")
    (folder / "model.onnx").write_bytes(ATTENTION_GRAPH.read_bytes())
    (folder / "tokenizer.json").write_text(TOYS["byte-level"](), encoding="utf-8")
    files = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("model.onnx", "tokenizer.json")
    }
    end = control_ids(tokenizer)[:1]
    manifest = make_manifest(
        tokenizer.vocabulary.size, head=ATTENTION_HEAD, end=end, fim=toy_fim(tokenizer), files=files, copying=(0.1,)
    )
    raw = mutate_json(json.loads(dump_manifest(manifest)), chance, _changes(chance))
    (folder / MANIFEST_NAME).write_bytes(json_bytes(raw, chance))


def read_manifest(folder: Path) -> None:
    manifest = load_manifest(folder)
    assert parse_manifest(json.loads(dump_manifest(manifest))) == manifest
    load_tokenizer(folder, manifest)
    check_graph(open_graph(folder / manifest.model_file, "cpu", 1).session, manifest)


def make_tokenizer_file(chance: random.Random, folder: Path) -> None:
    raw = json.loads(TOYS[chance.choice(sorted(TOYS))]())
    if chance.random() < 0.3:
        name = chance.choice(["model", "pre_tokenizer", "added_tokens", "normalizer", "decoder"])
        changed = mutate_json({name: raw[name]}, chance, _changes(chance))
        raw = {**raw, **changed} if isinstance(changed, dict) else changed
    else:
        raw = mutate_json(raw, chance, _changes(chance))
    if isinstance(raw, dict) and isinstance(raw.get("model"), dict) and chance.random() < 0.2:
        entries = raw["model"].get("vocab")
        if isinstance(entries, dict):
            entries[str(hostile_value(chance))[:5000]] = hostile_value(chance)
    (folder / "tokenizer.json").write_bytes(json_bytes(raw, chance))


def read_tokenizer(folder: Path) -> None:
    manifest = make_manifest(302)
    try:
        tokenizer = load_tokenizer(folder, manifest)
    except ModelFolderError as error:
        if "belongs to another model" not in str(error):
            raise
        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        tokenizer = Tokenizer(text)
    for start in (0, 5, 17):
        ids = tokenizer.encode(TEXT[start:])
        tokenizer.decode_bytes(ids)
        tokenizer.split_stable(TEXT[start:])
        tokenizer.begins_a_text(ids[:3])


def make_graph_file(chance: random.Random, folder: Path) -> None:
    if chance.random() < 0.5:
        base = chance.choice([ATTENTION_GRAPH, SEPARATE_GRAPH]).read_bytes()
        data = mutate_bytes(base, chance, _changes(chance))
    else:
        data = _made_graph(chance)
        if chance.random() < 0.3:
            data = mutate_bytes(data, chance, _changes(chance))
    (folder / "model.onnx").write_bytes(data)


MOST_REPEATED = 1 << 17
"""Most bytes of a part that is repeated or put into other graphs. Copies of copies would slow the fuzzer, not the
reader.
"""
_OPERATORS = ("Add", "MatMul", "Identity", "If", "Loop", "Scan", "Constant", "ConstantOfShape", "f0", "f1", "f2", "")


def _made_graph(chance: random.Random, depth: int = 0) -> bytes:
    """Any nesting of nodes, branches, external tensors and functions, deeper and wider than any exporter makes."""

    def a_tensor() -> bytes:
        place = chance.choice([None, "weights.data", "../secret", "/dev/zero", "", "a\0", "\ud800", "model.onnx"])
        return tensor("w", place, chance.choice([0, 1, 4, 1000]))

    def a_node(left: int) -> bytes:
        attributes = []
        if left > 0 and chance.random() < 0.3:
            attributes.append(graph_attribute("then_branch", a_graph(left - 1)))
        if chance.random() < 0.3:
            attributes.append(tensor_attribute("value", a_tensor()))
        names = [f"v{chance.randrange(5)}" for _ in range(chance.randrange(4))]
        domain = chance.choice(["", "", "ours", "ai.onnx", "com.microsoft"])
        return node(chance.choice(_OPERATORS), names, names[:1] or ["y"], domain=domain, attributes=attributes)

    def a_graph(left: int) -> bytes:
        nodes = [a_node(left) for _ in range(chance.choice([0, 1, 3, 10]))]
        times = chance.choice([1, 1, 1, 50])
        nodes *= times if sum(map(len, nodes)) < MOST_REPEATED else 1
        made = graph(nodes, [a_tensor() for _ in range(chance.randrange(3))])
        for _ in range(chance.choice([0, 0, 0, 30]) if len(made) < MOST_REPEATED else 0):
            made = graph([node("If", attributes=[graph_attribute("then_branch", made)])])
        return made

    functions = [
        function(f"f{number}", [a_node(1)] * chance.choice([1, 2, 40]), chance.choice(["ours", ""]))
        for number in range(chance.choice([0, 0, 3, 40]))
    ]
    return model(a_graph(2), functions) + chance.choice([b"", field(7, a_graph(0)), field(20, b"\x0a\x00")])


def read_graph(folder: Path) -> None:
    """onnxruntime opens what passes our checks, here in a process of its own, as in a trial."""
    check_graph_file(folder / "model.onnx")
    open_graph(folder / "model.onnx", "cpu", 1)


_CONFIG: Mapping[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": ATTENTION_HEAD,
    "hidden_size": 16,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "num_hidden_layers": 1,
    "max_position_embeddings": 256,
    "eos_token_id": 298,
    "bos_token_id": None,
}
_GENAI: Mapping[str, Any] = {
    "model": {
        "context_length": 256,
        "eos_token_id": [298],
        "decoder": {
            "filename": "model.onnx",
            "head_size": 16,
            "num_attention_heads": 1,
            "num_key_value_heads": 1,
            "inputs": {"input_ids": "input_ids", "past_key_names": "past_key_values.%d.key"},
            "outputs": {"logits": "logits", "present_key_names": "present.%d.key"},
        },
    },
    "search": {"past_present_share_buffer": True},
}


def make_foreign_folder(chance: random.Random, folder: Path) -> None:
    (folder / "model.onnx").write_bytes(chance.choice([ATTENTION_GRAPH, SEPARATE_GRAPH]).read_bytes())
    parts: dict[str, Any] = {
        "tokenizer.json": json.loads(TOYS["byte-level"]()),
        "config.json": json.loads(json.dumps(_CONFIG)),
        "generation_config.json": {"eos_token_id": 298},
        "tokenizer_config.json": {"eos_token": "<|endoftext|>", "add_bos_token": False},
    }
    if chance.random() < 0.4:
        parts["genai_config.json"] = json.loads(json.dumps(_GENAI))
    for name in parts:
        hit = chance.random() < 0.4
        raw = mutate_json(parts[name], chance, _changes(chance)) if hit else parts[name]
        (folder / name).write_bytes(json_bytes(raw, chance) if hit else json.dumps(raw).encode())


def read_foreign_folder(folder: Path) -> None:
    found = find_foreign(folder)
    if found is None:
        raise ModelFolderError("nothing is there")
    opened = open_graph(found.folder / found.model_file, "cpu", 1)
    manifest = derive_manifest(found, opened.signature)
    load_tokenizer(found.folder, manifest)
    check_graph(opened.session, manifest)


def make_safetensors(chance: random.Random, folder: Path) -> None:
    sizes = {"model.embed_tokens.weight": (16, 4), "model.layers.0.w": (4, 4), "lm_head.weight": (16, 4)}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in sizes.items():
        length = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + length]}
        at += length
    if chance.random() < 0.8:
        header = mutate_json(header, chance, _changes(chance))
    text = json_bytes(header, chance)
    length = len(text) if chance.random() < 0.9 else chance.choice([0, 1, len(text) - 1, 1 << 20, 1 << 40, 1 << 63])
    data = struct.pack("<Q", length) + text + bytes(at)
    if chance.random() < 0.2:
        data = mutate_bytes(data, chance, _changes(chance))
    (folder / "model.safetensors").write_bytes(data)


def read_safetensors(folder: Path) -> None:
    place = find(tensor_places(folder), EMBEDDINGS)
    if place is not None:
        read_rows(place)


_LIES = (0, 1, 3, 31, 33, 1 << 16, 1 << 20, 1 << 31, 1 << 32, 1 << 40, 1 << 63, (1 << 64) - 32, (1 << 64) - 1)
"""Lengths, counts and offsets that almost no real file has."""


class _Honest(random.Random):
    """Makes no false statement."""

    def random(self) -> float:
        return 1.0


_HONEST = _Honest()


def _told(true: int, chance: random.Random, share: float = 0.004) -> bytes:
    """A length, count, size or offset as the header states it; sometimes it is false."""
    lie = chance.choice((*_LIES, true + 1, max(true - 1, 0), true * 2)) if chance.random() < share else true
    return struct.pack("<Q", lie % (1 << 64))


def _gguf_text(text: str, chance: random.Random) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return _told(len(data), chance) + data


def _gguf_value(value: Any, chance: random.Random) -> bytes:
    """Type and value. A list has elements of one type."""
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return struct.pack("<IQ", 10, value % (1 << 64))
    if isinstance(value, float):
        return struct.pack("<Id", 12, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _gguf_text(value, chance)
    if isinstance(value, list):
        # Of hundreds of entries one is false now and then, not one in each file.
        inner = [_gguf_value(part, chance if chance.random() < 0.05 else _HONEST) for part in value]
        inner = inner or [struct.pack("<I", 8)]
        return struct.pack("<I", 9) + inner[0][:4] + _told(len(value), chance, 0.02) + b"".join(i[4:] for i in inner)
    return struct.pack("<I", 99)


def make_gguf(chance: random.Random, folder: Path) -> None:
    entries = list(json.loads(TOYS["byte-level"]())["model"]["vocab"])
    fields: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "toy",
        "llama.block_count": 1,
        "llama.context_length": 64,
        "llama.embedding_length": 32,
        "llama.feed_forward_length": 32,
        "llama.attention.head_count": 2,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": entries,
        "tokenizer.ggml.token_type": [3] + [1] * (len(entries) - 1),
        "tokenizer.ggml.merges": ["r e"],
        "tokenizer.ggml.eos_token_id": 0,
    }
    wide = [32, 32]
    tensors = {"token_embd.weight": [32, len(entries)], "output_norm.weight": [32], "blk.0.attn_norm.weight": [32]}
    tensors |= {f"blk.0.attn_{part}.weight": wide for part in ("q", "k", "v", "output")}
    tensors |= {f"blk.0.ffn_{part}.weight": wide for part in ("gate", "up", "down")} | {"blk.0.ffn_norm.weight": [32]}
    for _ in range(_changes(chance) if chance.random() < 0.7 else 0):
        name = chance.choice(sorted(fields))
        if chance.random() < 0.3:
            del fields[name]
        else:
            fields[name] = hostile_value(chance)
    if chance.random() < 0.05:
        fields["general.alignment"] = chance.choice([*_LIES, 8, 64, 4096])
    data = b"GGUF" + struct.pack("<I", chance.choice([3] * 8 + [2, 1, 9]))
    data += _told(len(tensors), chance, 0.05) + _told(len(fields), chance, 0.05)
    data += b"".join(_gguf_text(name, chance) + _gguf_value(value, chance) for name, value in fields.items())
    at = 0
    for name, shape in tensors.items():
        axes = chance.choice([0, 1, 3, 5, 1 << 31]) if chance.random() < 0.004 else len(shape)
        data += _gguf_text(name, chance) + struct.pack("<I", axes) + b"".join(_told(size, chance) for size in shape)
        data += struct.pack("<I", chance.choice([0, 0, 0, 1, 8, 77]) if chance.random() < 0.05 else 0)
        data += _told(at, chance, 0.01)
        count = 1
        for size in shape:
            count *= size
        at += 4 * count
    data += bytes(-len(data) % 32) + bytes(at)
    if chance.random() < 0.3:
        data = mutate_bytes(data[:6000], chance, _changes(chance)) + data[6000:]
    (folder / "model.gguf").write_bytes(data)


def read_gguf(folder: Path) -> None:
    convert(folder / "model.gguf", folder / "out")


KINDS: Mapping[str, Kind] = {
    "manifest": Kind(make_manifest_file, read_manifest),
    "tokenizer": Kind(make_tokenizer_file, read_tokenizer),
    "ONNX graph": Kind(make_graph_file, read_graph),
    "folder of others": Kind(make_foreign_folder, read_foreign_folder),
    "safetensors": Kind(make_safetensors, read_safetensors),
    "GGUF": Kind(make_gguf, read_gguf),
}
