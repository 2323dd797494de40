"""The model-folder contract: ``midtoken.json``, parsed, checked and written.

A folder is data: the manifest can name files of its own folder only, and nothing in it is ever executed. See
``docs/models.md`` for the format in words.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast, get_args

from engine.errors import ManifestError, ModelFolderError, reason_of
from engine.model_folder.files import MOST_JSON_BYTES, file_size, read_text_file
from engine.model_folder.json_fields import (
    read_choice,
    read_count,
    read_id,
    read_name,
    read_object,
    read_optional_id,
    read_text,
    read_truth,
    read_weights,
    shown,
)
from engine.model_folder.known_hashes import known_sha256_of
from engine.model_folder.user_cache import user_cache_folder

MANIFEST_NAME = "midtoken.json"
FORMAT = 1
LONGEST_MATCH = 8
"""Longest match, in tokens, for which `Manifest.copying` can have a weight."""
MOST_FILES = 64
MOST_LAYERS, MOST_HEADS, MOST_HEAD_SIZE = 1024, 4096, 4096
MOST_CONTEXT = 1 << 24
MOST_ROWS = 1 << 24
MOST_PARTS = 64
"""Limit for the parts of a fill-in-the-middle template. Real models stay far below such limits on their work."""

Slot = Literal["prefix", "suffix"]
FimOrder = Literal["psm", "spm"]
TemplatePart = int | Slot
Precision = Literal["fp32", "fp16", "int8", "int4", "w8a8", "keep", "unknown"]
"""``w8a8`` means products of bytes with bytes, ``keep`` the blocks of the file that the model was converted from, which
may have several widths.
"""


@dataclass(frozen=True, slots=True)
class GraphNames:
    """Names of the graph's inputs and outputs; ``{}`` stands for the layer number. None: the graph has no such input.

    ``logits_positions`` is our own input, ``[K] int64``: the rows of the new tokens whose logits are wanted.
    """

    input_ids: str = "input_ids"
    attention_mask: str = "attention_mask"
    position_ids: str | None = None
    logits_positions: str | None = "logits_positions"
    logits: str = "logits"
    past_key: str = "past_key_values.{}.key"
    past_value: str = "past_key_values.{}.value"
    present_key: str = "present.{}.key"
    present_value: str = "present.{}.value"


@dataclass(frozen=True, slots=True)
class KeyValueLayout:
    """Key/value buffers: ``layers`` times two tensors ``[batch, heads, length, head_size]`` of ``dtype``.

    ``shared`` says that past and present may be one buffer of full length (GroupQueryAttention). This lets the cache
    rewind without a copy.
    """

    layers: int
    heads: int
    head_size: int
    dtype: Literal["float32", "float16"] = "float32"
    shared: bool = True


@dataclass(frozen=True, slots=True)
class ControlIds:
    """Begin-of-sequence id or None, ids that end a completion (at least one), padding id or None (may equal an end)."""

    begin: int | None
    end: tuple[int, ...]
    pad: int | None = None


@dataclass(frozen=True, slots=True)
class FimTemplates:
    """Fill-in-the-middle templates by order: control ids and the slots ``prefix`` and ``suffix`` in sequence.

    For example ``{"psm": (1, "prefix", 2, "suffix", 3), "spm": (1, 2, "suffix", 3, "prefix")}``; what the model writes
    after the last part is the middle. ``default`` is the order used if a request does not name one.
    """

    templates: Mapping[FimOrder, tuple[TemplatePart, ...]]
    default: FimOrder

    @property
    def control_ids(self) -> frozenset[int]:
        return frozenset(part for parts in self.templates.values() for part in parts if isinstance(part, int))


@dataclass(frozen=True, slots=True)
class RepositoryTokens:
    """Control ids of the text that a model was trained on, and how its files are laid out.

    ``file`` stands before a file's path, which is followed by a line break and the content. If ``separates`` is true,
    it stands only between two files. ``repository``, if the model has it, stands before the repository's name, which is
    followed by the text ``after_repository``. If ``path_in_prefix`` is true, the path of the file being completed
    stands at the start of the prefix; otherwise it stands before the whole template.
    """

    file: int
    repository: int | None = None
    after_repository: str = ""
    separates: bool = False
    path_in_prefix: bool = False


@dataclass(frozen=True, slots=True)
class VocabularySizes:
    """Entries of the tokenizer, rows of the embedding, rows of the output head (rows past the entries are padding).

    ``tied`` says whether embedding and head are one matrix; None means unknown. ``untrained`` are entries whose rows
    were never trained.
    """

    tokenizer: int
    embedding: int
    head: int
    tied: bool | None = None
    untrained: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that the engine must know about a model besides its graph and tokenizer.

    ``copying`` are the weights of `engine.runtime.copy_mixture`, by the length of a match; empty: nothing is copied.
    ``reading_file`` is a second graph that only makes keys and values and is fast over many tokens; empty: none.
    """

    name: str
    architecture: str
    precision: Precision
    context_length: int
    graph: GraphNames
    key_value: KeyValueLayout
    control: ControlIds
    vocabulary: VocabularySizes
    files: Mapping[str, str]
    fim: FimTemplates | None = None
    repository: RepositoryTokens | None = None
    copying: tuple[float, ...] = ()
    model_file: str = "model.onnx"
    tokenizer_file: str = "tokenizer.json"
    reading_file: str = ""
    licence: str = ""
    training_data: str = ""
    format: int = field(default=FORMAT)

    @property
    def control_ids(self) -> frozenset[int]:
        """Every id that has a role: begin, end, padding, fill-in-the-middle, files and repositories."""
        named = [self.control.begin, *self.control.end, self.control.pad]
        if self.repository is not None:
            named += [self.repository.file, self.repository.repository]
        return frozenset(i for i in named if i is not None) | (self.fim.control_ids if self.fim else frozenset())


def load_manifest(folder: Path) -> Manifest:
    """`read_manifest`, and then a check of the presence and SHA-256 of every file that it names."""
    manifest = read_manifest(folder)
    check_files(folder, manifest, manifest.files)
    return manifest


def check_files(folder: Path, manifest: Manifest, names: Collection[str]) -> None:
    """Compare the SHA-256 of some files with the manifest's; for large files with a known sum (`known_hashes`). Raises
    `ManifestError` if a file is missing, differs or lies outside the folder.
    """
    for name in names:
        _check_file(folder, name, manifest.files[name])


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``folder/midtoken.json``, not the files that it names.

    Raises `ModelFolderError` if there is no such folder or manifest, `ManifestError` if it is malformed, names a
    file outside the folder, or a file's hash differs.
    """
    if not folder.is_dir():
        raise ModelFolderError(f"no model folder at {folder}; give a folder that holds {MANIFEST_NAME}")
    path = folder / MANIFEST_NAME
    try:
        raw = json.loads(read_text_file(folder, MANIFEST_NAME, MOST_JSON_BYTES))
    except FileNotFoundError as error:
        raise ModelFolderError(
            f"{folder} holds no {MANIFEST_NAME}; turn a checkpoint into a model folder with 'midtoken export'"
        ) from error
    except ModelFolderError as error:
        raise ManifestError(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path} cannot be read as JSON ({error}); export the model again") from None
    return parse_manifest(raw, path)


def parse_manifest(raw: object, source: Path | str = MANIFEST_NAME) -> Manifest:
    """Turn decoded JSON into a `Manifest`. Raises `ManifestError`, naming ``source`` and the offending field."""
    try:
        manifest = _build(read_object(raw, "the manifest"))
    except KeyError as error:
        raise ManifestError(f"{source}: field {error.args[0]!r} is missing; export the model again") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise ManifestError(f"{source}: {error}; export the model again") from None
    return manifest


def dump_manifest(manifest: Manifest) -> str:
    """The manifest as the text of ``midtoken.json``; `parse_manifest` of it gives an equal value."""
    return json.dumps(asdict(manifest), indent=2, ensure_ascii=False, default=dict) + "\n"


def _check_file(folder: Path, name: str, digest: str) -> None:
    path = folder / name
    try:
        file_size(folder, name)
        actual = known_sha256_of(path, user_cache_folder("hashes"))
    except ModelFolderError as error:
        raise ManifestError(f"{MANIFEST_NAME} names {shown(name)}: {error}") from None
    except OSError as error:
        raise ManifestError(
            f"{str(path)!r} cannot be read ({reason_of(error)}); copy or export the model again"
        ) from None
    if actual != digest:
        raise ManifestError(f"{path} is damaged or altered (its SHA-256 differs); copy or export the model again")


def _build(raw: dict[str, Any]) -> Manifest:
    if raw["format"] != FORMAT:
        raise ValueError(f"format {shown(raw['format'])} is not {FORMAT}, the one this version reads")
    fim, repository = raw.get("fim"), raw.get("repository")
    files = read_object(raw["files"], "files")
    manifest = Manifest(
        format=FORMAT,
        name=read_name(raw, "name"),
        architecture=read_name(raw, "architecture"),
        precision=read_choice(raw, "precision", get_args(Precision)),
        context_length=read_count(raw, "context_length", MOST_CONTEXT),
        graph=_graph(read_object(raw["graph"], "graph")),
        key_value=_key_value(read_object(raw["key_value"], "key_value")),
        control=_control(read_object(raw["control"], "control")),
        vocabulary=_sizes(read_object(raw["vocabulary"], "vocabulary")),
        files={name: read_text(files, name) for name in files},
        fim=None if fim is None else _fim(read_object(fim, "fim")),
        repository=None if repository is None else _repository(read_object(repository, "repository")),
        copying=read_weights(raw, "copying", LONGEST_MATCH),
        model_file=read_name(raw, "model_file"),
        tokenizer_file=read_name(raw, "tokenizer_file"),
        reading_file=read_text({"reading_file": "", **raw}, "reading_file"),
        licence=read_text({"licence": "", **raw}, "licence"),
        training_data=read_text({"training_data": "", **raw}, "training_data"),
    )
    if len(files) > MOST_FILES:
        raise ValueError(f"files has {len(files)} entries; at most {MOST_FILES} are read")
    for name, graph in (("model_file", manifest.model_file), ("reading_file", manifest.reading_file)):
        if graph and not graph.endswith(".onnx"):  # onnxruntime chooses among formats by the name
            raise ValueError(f"{name} is {shown(graph)}; it must end with .onnx")
    for required in (manifest.model_file, manifest.tokenizer_file, manifest.reading_file):
        if required and required not in manifest.files:
            raise ValueError(f"files has no SHA-256 of {required!r}")
    return manifest


def _graph(raw: dict[str, Any]) -> GraphNames:
    for name in raw:
        if not (raw[name] is None and name in ("position_ids", "logits_positions")):
            read_text(raw, name)
    names = GraphNames(**raw)
    for name in ("past_key", "past_value", "present_key", "present_value"):
        template = getattr(names, name)
        if template.count("{}") != 1 or set("{}") & set(template.replace("{}", "")):
            raise ValueError(f"{name} is {shown(template)}; it must hold {{}} once, for the layer number")
    return names


def _key_value(raw: dict[str, Any]) -> KeyValueLayout:
    if not isinstance(raw["shared"], bool):
        raise TypeError("shared must be true or false")
    return KeyValueLayout(
        layers=read_count(raw, "layers", MOST_LAYERS),
        heads=read_count(raw, "heads", MOST_HEADS),
        head_size=read_count(raw, "head_size", MOST_HEAD_SIZE),
        dtype=read_choice(raw, "dtype", ("float32", "float16")),
        shared=raw["shared"],
    )


def _control(raw: dict[str, Any]) -> ControlIds:
    if not isinstance(raw["end"], list) or not raw["end"]:
        raise ValueError("control.end must be a list of ids, at least one, for a completion must be able to end")
    return ControlIds(
        begin=read_optional_id(raw, "begin"),
        end=tuple(read_id(value, "control.end") for value in raw["end"]),
        pad=read_optional_id(raw, "pad"),
    )


def _sizes(raw: dict[str, Any]) -> VocabularySizes:
    known = [size.name for size in fields(VocabularySizes)]
    if unknown := sorted(raw.keys() - set(known)):
        raise ValueError(f"vocabulary has an unknown field {shown(unknown[0])}")
    tied, untrained = raw.get("tied"), raw.get("untrained", [])
    if not (tied is None or isinstance(tied, bool)) or not isinstance(untrained, list):
        raise TypeError("vocabulary.tied must be true, false or null and vocabulary.untrained a list of ids")
    return VocabularySizes(
        tokenizer=read_count(raw, "tokenizer", MOST_ROWS),
        embedding=read_count(raw, "embedding", MOST_ROWS),
        head=read_count(raw, "head", MOST_ROWS),
        tied=tied,
        untrained=tuple(read_id(value, "vocabulary.untrained") for value in untrained),
    )


def _repository(raw: dict[str, Any]) -> RepositoryTokens:
    return RepositoryTokens(
        file=read_id(raw["file"], "repository.file"),
        repository=read_optional_id(raw, "repository"),
        after_repository=read_text({"after_repository": "", **raw}, "after_repository"),
        separates=read_truth(raw, "separates"),
        path_in_prefix=read_truth(raw, "path_in_prefix"),
    )


def _fim(raw: dict[str, Any]) -> FimTemplates:
    templates: dict[FimOrder, tuple[TemplatePart, ...]] = {}
    for name, parts in read_object(raw["templates"], "fim.templates").items():
        if name not in get_args(FimOrder):
            raise ValueError(f"fim order {shown(name)} is not one of {', '.join(get_args(FimOrder))}")
        order = cast("FimOrder", name)
        if (
            not isinstance(parts, list)
            or len(parts) > MOST_PARTS
            or sorted(p for p in parts if isinstance(p, str)) != ["prefix", "suffix"]
        ):
            raise ValueError(f"fim template {order!r} must hold 'prefix' and 'suffix' once each")
        templates[order] = tuple(cast("Slot", p) if isinstance(p, str) else read_id(p, "fim") for p in parts)
    if raw["default"] not in list(templates):
        raise ValueError(f"fim default {shown(raw['default'])} has no template")
    return FimTemplates(templates=templates, default=raw["default"])
