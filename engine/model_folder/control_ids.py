"""Begin, end and padding ids of a checkpoint, from the files that each hold a part of this."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import ModelFolderError
from engine.model_folder.fim_spellings import end_ids
from engine.model_folder.json_fields import shown
from engine.model_folder.manifest import ControlIds

_CONTROL = re.compile(r"\u2581?<[^<>\s]+>|\[[^\[\]\s]+\]")


def control_ids(
    config: Mapping[str, Any],
    generation: Mapping[str, Any],
    tokenizer_config: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
    added: Mapping[str, int],
    special_tokens_map: Mapping[str, Any] | None = None,
) -> ControlIds:
    """The ids of a checkpoint's decoded config.json, generation_config.json, tokenizer_config.json, tokenizer.json and
    special_tokens_map.json.

    A completion ends at the ids that config.json or generation_config.json call an end, or at a token that ends a
    middle in this family. If neither file names one, it ends at the ``eos_token`` of tokenizer_config.json, or else
    of special_tokens_map.json. The begin id counts only if encoding begins with it, because many families name one that
    they never write.

    Errors: ModelFolderError if no end is named, or if one of them is not an id, has no entry, or is ordinary text.
    """
    nested = config.get("text_config")
    config = {**nested, **config} if isinstance(nested, dict) else config
    ends: list[int] = []
    for value in (config.get("eos_token_id"), generation.get("eos_token_id")):
        ends += value if isinstance(value, list) else [value] if value is not None else []
    for named in (tokenizer_config, special_tokens_map or {}):
        ends = ends or _by_name(named.get("eos_token"), tokenizer, added)
    if any(isinstance(number, int) and number < 0 for number in ends):
        raise ModelFolderError(f"the configuration names {min(ends)} as the end of a text, which is no id; correct it")
    if not ends or not all(isinstance(number, int) for number in ends):
        raise ModelFolderError("config.json names no eos_token_id, so no completion could end; add it there")
    known = _vocabulary(tokenizer).values()
    if known and max(ends) > max(known):
        raise ModelFolderError(
            f"the configuration names {max(ends)} as the end of a text, but the tokenizer has no such entry; "
            "correct eos_token_id in config.json"
        )
    _require_no_text(ends, tokenizer)
    begin, pad = config.get("bos_token_id"), config.get("pad_token_id")
    return ControlIds(
        begin=begin if isinstance(begin, int) and begin >= 0 and _is_written(tokenizer_config, tokenizer) else None,
        end=tuple(dict.fromkeys((*ends, *end_ids(added)))),
        pad=pad if isinstance(pad, int) and pad >= 0 else None,
    )


def is_control_spelling(text: str) -> bool:
    """Whether an entry looks like a control token: ``<|endoftext|>``, ``</s>``, ``[EOS]``."""
    return _CONTROL.fullmatch(text) is not None


def _by_name(token: object, tokenizer: Mapping[str, Any], added: Mapping[str, int]) -> list[int]:
    """The id of a control token that a file gives as its spelling, or as an object that holds it."""
    spelling = token.get("content") if isinstance(token, dict) else token
    found = {**_vocabulary(tokenizer), **added}.get(spelling) if isinstance(spelling, str) else None
    return [] if found is None else [found]


def _require_no_text(ends: Iterable[int], tokenizer: Mapping[str, Any]) -> None:
    """Raise `ModelFolderError` for an end that stands in ordinary text: completions would end inside of words."""
    special = {token["id"]: bool(token.get("special")) for token in tokenizer.get("added_tokens") or ()}
    wanted = {end for end in ends if not special.get(end)}
    for text, number in _vocabulary(tokenizer).items() if wanted else ():
        if number in wanted and not is_control_spelling(text):
            raise ModelFolderError(
                f"the configuration names {number} as the end of a text, which is the ordinary entry {shown(text)}; "
                "correct eos_token_id in config.json"
            )


def _vocabulary(tokenizer: Mapping[str, Any]) -> Mapping[str, int]:
    """Spellings to ids, added tokens included; empty where there are none."""
    model = tokenizer.get("model")
    found = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(found, list):  # of Unigram: pairs of a spelling and its score
        found = {str(entry[0]): number for number, entry in enumerate(found)}
    added = {str(token["content"]): int(token["id"]) for token in tokenizer.get("added_tokens") or ()}
    return {**(found or {}), **added}


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
