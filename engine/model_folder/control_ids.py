"""Begin, end and padding ids of a checkpoint, from four files that each hold a part of this."""

from collections.abc import Mapping
from typing import Any

from engine.errors import ModelFolderError
from engine.model_folder.fim_spellings import end_ids
from engine.model_folder.manifest import ControlIds


def control_ids(
    config: Mapping[str, Any],
    generation: Mapping[str, Any],
    tokenizer_config: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
    added: Mapping[str, int],
) -> ControlIds:
    """The ids of a checkpoint's decoded config.json, generation_config.json, tokenizer_config.json, tokenizer.json.

    A completion ends at the ids that config.json or generation_config.json call an end, or at a token that ends a
    middle in this family. If neither file names one, it ends at the ``eos_token`` of tokenizer_config.json. The begin
    id counts only if encoding begins with it, because many families name one that they never write.

    Errors: ModelFolderError if no end is named, or if one of them is not an id.
    """
    nested = config.get("text_config")
    config = {**nested, **config} if isinstance(nested, dict) else config
    ends: list[int] = []
    for value in (config.get("eos_token_id"), generation.get("eos_token_id")):
        ends += value if isinstance(value, list) else [value] if value is not None else []
    if not ends:
        ends += _by_name(tokenizer_config.get("eos_token"), added)
    if any(isinstance(number, int) and number < 0 for number in ends):
        raise ModelFolderError(f"the configuration names {min(ends)} as the end of a text, which is no id; correct it")
    if not ends or not all(isinstance(number, int) for number in ends):
        raise ModelFolderError("config.json names no eos_token_id, so no completion could end; add it there")
    begin, pad = config.get("bos_token_id"), config.get("pad_token_id")
    return ControlIds(
        begin=begin if isinstance(begin, int) and begin >= 0 and _is_written(tokenizer_config, tokenizer) else None,
        end=tuple(dict.fromkeys((*ends, *end_ids(added)))),
        pad=pad if isinstance(pad, int) and pad >= 0 else None,
    )


def _by_name(token: object, added: Mapping[str, int]) -> list[int]:
    """The id of a control token that a file gives as its spelling, or as an object that holds it."""
    spelling = token.get("content") if isinstance(token, dict) else token
    return [added[spelling]] if isinstance(spelling, str) and spelling in added else []


def _is_written(tokenizer_config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> bool:
    """Whether texts begin with the begin id. If no file says, they do, because the first token needs one before it."""
    stated = tokenizer_config.get("add_bos_token")
    if isinstance(stated, bool):
        return stated
    parts = _members(tokenizer.get("post_processor"))
    templates = [part for part in parts if part.get("type") == "TemplateProcessing"]
    if templates:
        return any("SpecialToken" in (template.get("single") or [{}])[0] for template in templates)
    return not parts


def _members(processor: Any) -> list[Mapping[str, Any]]:
    if not isinstance(processor, dict):
        return []
    return [processor, *(member for part in processor.get("processors") or () for member in _members(part))]
