"""What a folder says about itself, for the list of models. It reads small files and the shapes that a graph states,
runs no graph and computes no hash.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ModelFolderError
from engine.model_folder.files import MOST_JSON_BYTES, MOST_TOKENIZER_BYTES, file_exists, file_size, read_json
from engine.model_folder.fim_spellings import fim_templates
from engine.model_folder.foreign import GENAI, TOKENIZER, find_graph
from engine.model_folder.manifest import MANIFEST_NAME, parse_manifest
from engine.model_folder.parameters import count_parameters

CONFIG = "config.json"
_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "context_length")


@dataclass(frozen=True, slots=True)
class FolderDescription:
    """A model folder, or a checkpoint, for which ``graph`` is empty. 0, None and empty texts mean that the folder does
    not say. ``parameters`` is the number of weights of the graph.

    ``files`` are the files of the model. For a checkpoint or a folder of another exporter, they are recognised by their
    names.
    """

    name: str
    architecture: str
    precision: str
    context_length: int
    fim: bool | None
    licence: str
    graph: str
    files: tuple[str, ...]
    parameters: int = 0


def describe_folder(folder: Path, within: Path | None = None) -> FolderDescription:
    """Read a model folder, one of another exporter, or a checkpoint. Links may lead anywhere inside ``within``
    (default: the folder itself), as the links of a download cache do.

    Raises `ModelFolderError` if it is none of these, or if a file is missing, malformed, or a link that leads out.
    """
    root = folder if within is None else within
    if not folder.is_dir():
        raise ModelFolderError(f"no model folder at {folder}; give a folder that holds {MANIFEST_NAME}")
    try:
        return _of_ours(folder, root) if file_exists(folder, MANIFEST_NAME) else _of_others(folder, root)
    except FileNotFoundError as error:
        raise ModelFolderError(f"{error.filename} is gone; copy the model again") from None


def _of_ours(folder: Path, root: Path) -> FolderDescription:
    manifest = parse_manifest(_read(folder, root, MANIFEST_NAME), folder / MANIFEST_NAME)
    for name in manifest.files:
        file_size(folder, name)
    return FolderDescription(
        name=manifest.name,
        architecture=manifest.architecture,
        precision=manifest.precision,
        context_length=manifest.context_length,
        fim=manifest.fim is not None,
        licence=manifest.licence,
        graph=manifest.model_file,
        files=tuple(manifest.files),
        parameters=count_parameters(folder, manifest.model_file),
    )


def _of_others(folder: Path, root: Path) -> FolderDescription:
    genai = _optional(folder, root, GENAI)
    config = _optional(folder, root, CONFIG)
    if not genai and not config:
        raise ModelFolderError(f"{folder} holds no {MANIFEST_NAME} and no {CONFIG}; give the folder of a model")
    found = find_graph(folder, genai)
    if not file_exists(folder, TOKENIZER):
        raise ModelFolderError(f"{folder} holds no {TOKENIZER}; copy it from the model's checkpoint")
    tokenizer = _read(folder, root, TOKENIZER, MOST_TOKENIZER_BYTES)
    model = genai.get("model")
    stated = {**config, **(model if isinstance(model, dict) else {})}
    classes = config.get("architectures")
    graph, precision = found or ("", "")
    return FolderDescription(
        name=folder.resolve().name,
        architecture=str(classes[0] if isinstance(classes, list) and classes else stated.get("type", "")),
        precision=precision or str(config.get("torch_dtype") or config.get("dtype") or ""),
        context_length=next((stated[name] for name in _CONTEXT if isinstance(stated.get(name), int)), 0),
        fim=fim_templates(_added(tokenizer)) is not None,
        licence="",
        graph=graph,
        files=tuple(_files(folder, graph)),
        parameters=count_parameters(root, (folder / graph).relative_to(root).as_posix()) if graph else 0,
    )


def _files(folder: Path, graph: str) -> list[str]:
    """Configurations, and the graph with its weights or else the weights of the checkpoint."""
    place, stem = (graph.rpartition("/")[0], Path(graph).stem) if graph else ("", "")
    wanted = (".json",) if graph else (".json", ".safetensors")
    names = [path.name for path in folder.iterdir() if path.suffix in wanted]
    if graph:
        # external data: model.onnx.data, model.onnx_data, model.onnx_data_1
        beside = (folder / place).iterdir()
        names += [f"{place}/{path.name}".lstrip("/") for path in beside if path.name.startswith(f"{stem}.onnx")]
    return sorted(names)


def _added(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    try:
        return {str(token["content"]): int(token["id"]) for token in tokenizer.get("added_tokens") or ()}
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFolderError(f"its {TOKENIZER} is no tokenizer; copy the model again") from error


def _optional(folder: Path, root: Path, name: str) -> Mapping[str, Any]:
    return _read(folder, root, name) if file_exists(folder, name) else {}


def _read(folder: Path, root: Path, name: str, most_bytes: int = MOST_JSON_BYTES) -> Mapping[str, Any]:
    return read_json(root, (folder / name).relative_to(root).as_posix(), most_bytes)
