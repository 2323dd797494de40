"""A Hugging Face checkpoint folder, checked before anything expensive starts.

Only data is read: weights in safetensors, a tokenizer.json, a config.json. A folder that wants to bring code
(`auto_map`) or pickled weights is refused.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from engine.errors import ExportError, ModelFolderError
from engine.model_folder.control_ids import control_ids
from engine.model_folder.files import MOST_JSON_BYTES, MOST_TOKENIZER_BYTES, file_size
from engine.model_folder.json_fields import read_weights
from engine.model_folder.manifest import LONGEST_MATCH, ControlIds, FimOrder, VocabularySizes
from onnx_export.architectures import Family, builder_of, family_of
from onnx_export.config_bounds import check_layers, check_sizes
from onnx_export.papers import papers_of, stated_licence
from onnx_export.weights import EMBEDDINGS, HEADS, find, read_rows, tensor_places, untrained_rows

SOURCE_NAME = "midtoken-source.json"
PICKLED_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt")
READ_FILES = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    "adapter_config.json",
    *(SOURCE_NAME, "*.safetensors.index.json", "*.safetensors"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """Facts that the files of a checkpoint do not hold, from `midtoken-source.json` beside them. Every field is
    optional; a licence that is missing there is read from the head of the model card.

    ``file_tokens`` is false if the model should not get file names. ``copying`` are weights of
    `engine.runtime.copy_mixture`.
    """

    name: str
    licence: str = ""
    training_data: str = ""
    fim_orders: tuple[FimOrder, ...] | None = None
    file_tokens: bool = True
    copying: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that can be exported. `config` is the decoded config.json, `added` the ids of the tokenizer's added
    tokens by spelling.
    """

    folder: Path
    config: Mapping[str, Any]
    family: Family
    source: Source
    added: Mapping[str, int]
    control: ControlIds
    vocabulary: VocabularySizes


def read_checkpoint(folder: Path) -> Checkpoint:
    """Check a checkpoint folder. Errors: ExportError with what is wrong and what to do."""
    config, family = _read_config(folder)
    tokenizer = _read_json(folder / "tokenizer.json")
    try:
        added = {str(token["content"]): int(token["id"]) for token in tokenizer.get("added_tokens") or ()}
        vocabulary = _vocabulary_size(tokenizer, added)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExportError(
            f"{folder / 'tokenizer.json'} is not a tokenizer ({error}); copy the checkpoint again"
        ) from None
    generation, tokenizer_config, special = (
        _read_optional(folder / name)
        for name in ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
    )
    try:
        control = control_ids(config, generation, tokenizer_config, tokenizer, added, special)
    except ModelFolderError as error:
        raise ExportError(f"{folder}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExportError(f"{folder}: its control tokens are not understood ({error}); copy it again") from None
    return Checkpoint(
        folder, config, family, _read_source(folder), added, control, _vocabulary_sizes(folder, config, vocabulary)
    )


def count_weights(folder: Path) -> int:
    """The number of weights, read only from headers. Errors: ExportError for what `read_checkpoint` refuses first."""
    _read_config(folder)
    return sum(math.prod(place.shape) for place in tensor_places(folder).values())


def needs_torch(folder: Path) -> bool:
    """Whether exporting a checkpoint for the CPU takes torch. Errors: ExportError as `count_weights`."""
    config, family = _read_config(folder)
    return builder_of(family, config) != "writer"


def _read_config(folder: Path) -> tuple[dict[str, Any], Family]:
    if not folder.is_dir():
        raise ExportError(f"no checkpoint folder at {folder}; give a folder that holds config.json and the weights")
    _refuse_parts(folder)
    _require_own_files(folder)
    config = _read_json(folder / "config.json")
    family = family_of(config)
    check_sizes(config)
    _refuse_what_changes_the_model(folder, config)
    _require_safetensors(folder)
    return config, family


def _vocabulary_sizes(folder: Path, config: Mapping[str, Any], entries: int) -> VocabularySizes:
    """Numbers of rows in the weights. Errors: ExportError if they are too few or not what config.json says."""
    places = tensor_places(folder)
    check_layers(config, places)
    head, embedding = find(places, HEADS), find(places, EMBEDDINGS)
    embedding = embedding or head
    if embedding is None:
        raise ExportError(f"the weights in {folder} have no embedding under a known name; copy the checkpoint again")
    tied = head is None or head is embedding or bool(config.get("tie_word_embeddings", False))
    for what, rows in (("embedding", embedding.shape[0]), ("output head", (head or embedding).shape[0])):
        if rows < entries:
            raise ExportError(
                f"the tokenizer has {entries} entries but the {what} {rows} rows: tokens were added without resizing "
                "the model, or the two do not belong together; resize it (resize_token_embeddings) and train it"
            )
        if rows != config.get("vocab_size"):
            raise ExportError(
                f"config.json says vocab_size {config.get('vocab_size')!r} but the {what} has {rows} rows; correct it"
            )
    return VocabularySizes(
        tokenizer=entries,
        embedding=embedding.shape[0],
        head=(head or embedding).shape[0],
        tied=tied,
        untrained=untrained_rows(read_rows(embedding), entries),
    )


def _require_own_files(folder: Path) -> None:
    """Errors: ExportError if something that is read or copied is not a file, or is a link that leads out of the
    checkpoint.

    A snapshot in a download cache consists of links to the blobs beside it, which are allowed.
    """
    beside = folder.resolve().parent
    root = beside.parent if beside.name == "snapshots" and (beside.parent / "blobs").is_dir() else folder.resolve()
    place = folder.resolve().relative_to(root)
    papers = (folder / name for name in papers_of(folder))
    for file in (*papers, *(file for pattern in READ_FILES for file in folder.glob(pattern))):
        most = MOST_TOKENIZER_BYTES if file.name == "tokenizer.json" else MOST_JSON_BYTES
        try:
            file_size(root, (place / file.name).as_posix(), None if file.suffix == ".safetensors" else most)
        except (ModelFolderError, FileNotFoundError) as error:
            raise ExportError(str(error)) from None


def _refuse_parts(folder: Path) -> None:
    """Errors: ExportError for folders that are often mistaken for a checkpoint; the message says what to do."""
    if (folder / "adapter_config.json").exists():
        raise ExportError(f"{folder} holds an adapter, not a model; merge it into its model and save that first")
    if (folder / "tokenizer.model").exists() and not (folder / "tokenizer.json").exists():
        raise ExportError(
            f"{folder} has its tokenizer as tokenizer.model only; write a tokenizer.json beside it "
            "(AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) of transformers does)"
        )


def _refuse_what_changes_the_model(folder: Path, config: Mapping[str, Any]) -> None:
    """Errors: ExportError if the model needs code from the folder, or if its weights are packed by another library.
    Code for a tokenizer is never read.
    """
    if "auto_map" in config:
        raise ExportError(f"{folder} wants to run code of its own (auto_map in config.json); that is never done")
    packed = config.get("quantization_config")
    if packed is not None:
        method = packed.get("quant_method") if isinstance(packed, dict) else packed
        raise ExportError(f"the weights in {folder} are quantised already ({method}); export the original checkpoint")


def _require_safetensors(folder: Path) -> None:
    if any(folder.glob("*.safetensors")):
        _require_all_shards(folder)
        return
    pickled = sorted(file.name for pattern in PICKLED_WEIGHTS for file in folder.glob(pattern))
    if pickled:
        raise ExportError(
            f"{folder} has pickled weights only ({pickled[0]}), which can run code when read; "
            "save the checkpoint as safetensors first"
        )
    raise ExportError(f"{folder} has no weights (*.safetensors); copy the checkpoint again")


def _require_all_shards(folder: Path) -> None:
    named = _read_optional(folder / "model.safetensors.index.json").get("weight_map")
    for name in sorted({str(file) for file in named.values()} if isinstance(named, dict) else ()):
        if not (folder / name).exists():
            raise ExportError(f"{folder} has no {name}, which its index names; copy the checkpoint again")


def _vocabulary_size(tokenizer: Mapping[str, Any], added: Mapping[str, int]) -> int:
    entries = tokenizer["model"]["vocab"]
    ids = set(entries.values()) if isinstance(entries, dict) else set(range(len(entries)))
    return max(ids | set(added.values())) + 1


def _read_source(folder: Path) -> Source:
    path = folder / SOURCE_NAME
    if not path.exists():
        return Source(name=folder.resolve().name, licence=stated_licence(folder))
    raw = _read_json(path)
    orders = raw.get("fim_orders")
    if orders is not None and not (orders and set(orders) <= set(get_args(FimOrder))):
        raise ExportError(f"{path}: fim_orders is {orders!r}, not a list of {' and '.join(get_args(FimOrder))}")
    try:
        copying = read_weights(raw, "copying", LONGEST_MATCH)
    except (TypeError, ValueError) as error:
        raise ExportError(f"{path}: {error}") from None
    return Source(
        name=str(raw.get("name") or folder.resolve().name),
        licence=str(raw.get("licence", "")) or stated_licence(folder),
        training_data=str(raw.get("training_data", "")),
        fim_orders=None if orders is None else tuple(orders),
        file_tokens=bool(raw.get("file_tokens", True)),
        copying=copying,
    )


def _read_optional(path: Path) -> dict[str, Any]:
    return _read_json(path) if path.exists() else {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ExportError(f"{path.parent} holds no {path.name}; give a whole Hugging Face checkpoint folder") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{path} cannot be read as JSON ({error}); copy the checkpoint again") from None
    if not isinstance(raw, dict):
        raise ExportError(f"{path} does not hold a JSON object; copy the checkpoint again")
    return raw
