"""Model folders of other exporters: a manifest is derived from their files. Nothing is written into them.

Two kinds are known. Folders of the exporters around transformers (optimum, and what is published for the web) hold
``config.json``, ``tokenizer.json`` and a graph with separate past and present, ``model.onnx`` or
``onnx/model_q4.onnx``. Folders of onnxruntime-genai's builder hold ``genai_config.json``, which names the tensors and
says whether past and present may be one buffer. A derived manifest is checked against the graph like any other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.errors import ContractError, ManifestError, ModelFolderError
from engine.model_folder.control_ids import control_ids
from engine.model_folder.files import MOST_JSON_BYTES, MOST_TOKENIZER_BYTES, file_exists, read_json
from engine.model_folder.fim_spellings import fim_templates, repository_tokens
from engine.model_folder.json_fields import LONGEST_NAME, shown
from engine.model_folder.known_hashes import sha256_of
from engine.model_folder.manifest import (
    MANIFEST_NAME,
    MOST_CONTEXT,
    MOST_HEAD_SIZE,
    MOST_HEADS,
    MOST_LAYERS,
    MOST_ROWS,
    GraphNames,
    KeyValueLayout,
    Manifest,
    Precision,
    VocabularySizes,
)

TOKENIZER = "tokenizer.json"
GENAI = "genai_config.json"
# The first one that exists is used: on a CPU the quantised ones are the fastest and float16 is the slowest.
GRAPHS: Sequence[tuple[str, Precision]] = (
    ("model_q4", "int4"),
    ("model_int8", "int8"),
    ("model_quantized", "int8"),
    ("model_uint8", "int8"),
    ("model", "fp32"),
    ("decoder_model_merged", "fp32"),
    ("model_q4f16", "int4"),
    ("model_fp16", "fp16"),
)
FOLDERS = ("", "onnx/")
_DTYPES: Mapping[str, Literal["float32", "float16"]] = {"tensor(float)": "float32", "tensor(float16)": "float16"}


@dataclass(frozen=True, slots=True)
class TensorType:
    """Type as onnxruntime spells it, and axes: a number, or a name or None if the axis varies."""

    dtype: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class GraphSignature:
    """Inputs and outputs of a graph by name."""

    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]


@dataclass(frozen=True, slots=True)
class ForeignFolder:
    """What was found: the graph's file and precision, and the decoded configurations, empty if there are none."""

    folder: Path
    model_file: str
    precision: Precision
    config: Mapping[str, Any]
    genai: Mapping[str, Any]
    generation: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    tokenizer: Mapping[str, Any]
    special_tokens_map: Mapping[str, Any]


def find_foreign(path: Path) -> ForeignFolder | None:
    """The other exporter's model folder at ``path``, which is a folder or a graph in one. None if the folder has a
    `MANIFEST_NAME`, or if there is nothing.

    Raises `ModelFolderError` if it cannot be used: no tokenizer, no configuration, a file that is not JSON, or a
    library of custom operators that it asks for.
    """
    folder, wanted = (path, None) if path.is_dir() else (path.parent, path.name)
    if wanted is not None and folder.name == "onnx" and not file_exists(folder, TOKENIZER):
        folder, wanted = folder.parent, f"onnx/{wanted}"
    if file_exists(folder, MANIFEST_NAME) and wanted is None:
        return None
    genai = _read(folder, GENAI)
    found = find_graph(folder, genai, wanted)
    if found is None:
        return None
    model_file, precision = found
    if not file_exists(folder, TOKENIZER):
        raise ModelFolderError(f"{folder} holds {model_file} but no {TOKENIZER}; copy it from the model's checkpoint")
    config = _read(folder, "config.json")
    if not config and not genai:
        raise ModelFolderError(f"{folder} holds {model_file} but no config.json; copy it from the model's checkpoint")
    return ForeignFolder(
        folder=folder,
        model_file=model_file,
        precision=precision,
        config=config,
        genai=_section(genai, "model"),
        generation=_read(folder, "generation_config.json"),
        tokenizer_config=_read(folder, "tokenizer_config.json"),
        tokenizer=_read(folder, TOKENIZER, MOST_TOKENIZER_BYTES),
        special_tokens_map=_read(folder, "special_tokens_map.json"),
    )


def derive_manifest(found: ForeignFolder, signature: GraphSignature) -> Manifest:
    """The manifest that the folder's exporter would have written. Raises `ContractError` if the graph is not a decoder
    with a key/value cache of a known form, `ManifestError` if the configurations do not say enough.
    """
    try:
        return _derive(found, signature)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError) as error:
        problem = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise ManifestError(f"{found.folder}: its configuration is not understood ({problem})") from None


def _derive(found: ForeignFolder, signature: GraphSignature) -> Manifest:
    names = _graph_names(found, signature)
    config = {**found.config, **{k: v for k, v in found.genai.items() if k not in ("decoder", "type")}}
    added = {str(t["content"]): int(t["id"]) for t in found.tokenizer.get("added_tokens") or ()}
    entries = 1 + max([*dict(found.tokenizer["model"]["vocab"]).values(), *added.values()])
    head = signature.outputs[names.logits].shape[-1]
    rows = int(config.get("vocab_size") or (head if isinstance(head, int) else entries))
    return Manifest(
        name=_line(found.folder.resolve().name),
        architecture=_line(str((found.config.get("architectures") or [found.genai.get("type", "unknown")])[0])),
        precision=found.precision,
        context_length=_within(
            MOST_CONTEXT, _dimension(config, "max_position_embeddings", "n_positions", "context_length")
        ),
        graph=names,
        key_value=_layout(found, names, signature),
        control=control_ids(
            config, found.generation, found.tokenizer_config, found.tokenizer, added, found.special_tokens_map
        ),
        vocabulary=VocabularySizes(
            tokenizer=entries, embedding=_within(MOST_ROWS, rows), head=_within(MOST_ROWS, _size(head, rows))
        ),
        files={TOKENIZER: sha256_of(found.folder / TOKENIZER)},
        fim=fim_templates(added),
        repository=repository_tokens(added),
        model_file=found.model_file,
    )


def _graph_names(found: ForeignFolder, signature: GraphSignature) -> GraphNames:
    decoder = _section(found.genai, "decoder")
    inputs, outputs = _section(decoder, "inputs"), _section(decoder, "outputs")
    plain = GraphNames()
    names = GraphNames(
        input_ids=_named(inputs, "input_ids", plain.input_ids),
        attention_mask=_named(inputs, "attention_mask", plain.attention_mask),
        position_ids=_present(signature, _named(inputs, "position_ids", "position_ids")),
        logits_positions=_present(signature, str(plain.logits_positions)),
        logits=_named(outputs, "logits", plain.logits),
        past_key=_template(_named(inputs, "past_key_names", plain.past_key)),
        past_value=_template(_named(inputs, "past_value_names", plain.past_value)),
        present_key=_template(_named(outputs, "present_key_names", plain.present_key)),
        present_value=_template(_named(outputs, "present_value_names", plain.present_value)),
    )
    if names.logits not in signature.outputs:
        raise ContractError(f"{found.model_file} makes no {names.logits!r}; it is not a language model")
    if "use_cache_branch" in signature.inputs:
        raise ContractError(
            f"{found.model_file} is two graphs in one ('use_cache_branch'), as optimum merged them until 1.13; "
            "export the checkpoint with a newer one, or with 'midtoken export'"
        )
    if names.past_key.format(0) not in signature.inputs:
        raise ContractError(
            f"{found.model_file} has no input {names.past_key.format(0)!r}: it keeps no keys and values, or under "
            "other names; export the model 'with past', or with 'midtoken export'"
        )
    return names


def _layout(found: ForeignFolder, names: GraphNames, signature: GraphSignature) -> KeyValueLayout:
    layers = 0
    while layers <= MOST_LAYERS and names.past_key.format(layers) in signature.inputs:
        layers += 1
    key = signature.inputs[names.past_key.format(0)]
    if len(key.shape) != 4 or key.dtype not in _DTYPES:
        raise ContractError(
            f"{found.model_file} has a cache of {len(key.shape)} axes and {key.dtype}; only four of floats are known"
        )
    config = {**found.config, **_section(found.genai, "decoder")}
    heads = _dimension(config, "num_attention_heads", "n_head")
    groups = 1 if config.get("multi_query") else int(config.get("num_key_value_heads") or heads)
    stated = config.get("head_dim") or config.get("head_size")
    size = int(stated or _dimension(config, "hidden_size", "n_embd") // heads)
    # Only the genai builder says that past and present may be one buffer. Separate tensors work for every graph.
    shared = _section(_read(found.folder, GENAI), "search").get("past_present_share_buffer") is True
    return KeyValueLayout(
        layers=_within(MOST_LAYERS, layers),
        heads=_within(MOST_HEADS, _size(key.shape[1], groups)),
        head_size=_within(MOST_HEAD_SIZE, _size(key.shape[3], size)),
        dtype=_DTYPES[key.dtype],
        shared=shared,
    )


def find_graph(folder: Path, genai: Mapping[str, Any], wanted: str | None = None) -> tuple[str, Precision] | None:
    """The graph of a folder and its precision, found by file names; None if there is none. Raises `ModelFolderError` if
    it is one of several parts, or needs code of the folder.
    """
    if wanted is not None:
        stem = Path(wanted).stem
        return (
            (wanted, dict(GRAPHS).get(stem, "unknown"))
            if wanted.endswith(".onnx") and file_exists(folder, wanted)
            else None
        )
    if genai:
        decoder = _section(_section(genai, "model"), "decoder")
        if "custom_ops_library" in str(decoder.get("session_options")):
            raise ModelFolderError(f"{folder / GENAI} wants a library of custom operators; Midtoken loads no code")
        name = decoder.get("filename")
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".onnx"):
            raise ManifestError(
                f"{folder / GENAI} names {shown(name)} as its graph; it must be a file of the folder, a .onnx"
            )
        return name, "unknown"
    if file_exists(folder, "encoder_model.onnx") or file_exists(folder, "onnx/encoder_model.onnx"):
        raise ModelFolderError(f"{folder} holds an encoder and a decoder; only decoder-only models can complete code")
    for place in FOLDERS:
        for name, precision in GRAPHS:
            if file_exists(folder, f"{place}{name}.onnx"):
                return f"{place}{name}.onnx", precision
    return None


def _named(section: Mapping[str, Any], key: str, default: str) -> str:
    name = section.get(key, default)
    if not isinstance(name, str):
        raise TypeError(f"{key!r} is {shown(name)}; it must be a name")
    return name


def _template(name: str) -> str:
    return name.replace("%d", "{}")


def _present(signature: GraphSignature, name: str) -> str | None:
    return name if name in signature.inputs else None


def _dimension(config: Mapping[str, Any], *names: str) -> int:
    for name in names:
        if isinstance(config.get(name), int):
            return int(config[name])
    raise KeyError(names[0])


def _size(axis: int | str | None, stated: int) -> int:
    return axis if isinstance(axis, int) else stated


def _within(most: int, size: int) -> int:
    if not 1 <= size <= most:
        raise ValueError(f"a size is {shown(size)}; it must be 1 to {most}")
    return size


def _line(text: str) -> str:
    """The text as one printable line of bounded length, so that it cannot control a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text[:LONGEST_NAME])


def _section(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def _read(folder: Path, name: str, most_bytes: int = MOST_JSON_BYTES) -> Mapping[str, Any]:
    return read_json(folder, name, most_bytes) if file_exists(folder, name) else {}
