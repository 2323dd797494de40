"""The tokenizer of a GGUF file as a tokenizer.json, and the ids that have a role.

Two kinds are supported: ``gpt2`` is byte-level BPE with merges, ``llama`` is SentencePiece BPE with byte fallback,
whose merges follow from the scores of its entries. All others (WordPiece, Unigram, RWKV) are refused by name.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ExportError
from engine.model_folder.control_ids import is_control_spelling
from engine.model_folder.fim_spellings import end_ids, fim_templates, repository_tokens
from engine.model_folder.json_fields import shown
from engine.model_folder.manifest import ControlIds, FimTemplates, RepositoryTokens
from engine.text.spellings import SPACE_MARK
from onnx_export.gguf.header import GgufFile
from onnx_export.gguf.split_rules import BEGINS_TEXTS, SPLIT_RULES

_NORMAL, _UNKNOWN, _CONTROL, _USER, _UNUSED, _BYTE = range(1, 7)
_SENTENCEPIECE_IDS = {"bos": 1, "eos": 2}
# Control entries that end a text in some family, even if the file does not name them as an end.
_ENDS = (
    "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|EOT|>",
    "<EOT>", "▁<EOT>", "</s>", "<eos>", "<｜end▁of▁sentence｜>", "[end▁of▁sentence]", "<[end▁of▁sentence]>",
)  # fmt: skip
_FIM_FIELDS: Mapping[str, tuple[str, ...]] = {
    "prefix": ("fim_pre_token_id", "prefix_token_id"),
    "suffix": ("fim_suf_token_id", "suffix_token_id"),
    "middle": ("fim_mid_token_id", "middle_token_id"),
}
_END_FIELDS = (
    "eos_token_id", "eot_token_id", "eom_token_id", "fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TokenizerOfFile:
    """``text`` is a tokenizer.json of ``entries`` ids; the others are the manifest's fields of the same names."""

    text: str
    entries: int
    control: ControlIds
    fim: FimTemplates | None
    repository: RepositoryTokens | None


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a file: spellings by id, and what each is."""

    spellings: Sequence[str]
    kinds: NDArray[Any]
    kind: str

    def of_kind(self, *kinds: int) -> dict[str, int]:
        """Spellings to ids; of two with one spelling the lower id."""
        found: dict[str, int] = {}
        for token in np.flatnonzero(np.isin(self.kinds, kinds)).tolist():
            found.setdefault(self.spellings[token], token)
        return found

    @property
    def count(self) -> int:
        """The entries up to the last that is used."""
        used = np.flatnonzero(self.kinds != _UNUSED)
        return int(used[-1]) + 1 if len(used) else 0

    @property
    def added(self) -> dict[str, int]:
        """Control and user-defined entries, as a tokenizer.json names them."""
        return self.of_kind(_CONTROL, _USER, _UNKNOWN)


def read_entries(file: GgufFile) -> Entries:
    """The vocabulary of a file. Errors: ExportError if there is none, or its kind is unknown."""
    kind = file.fields.get("tokenizer.ggml.model")
    if kind in (None, "none", "no_vocab"):
        raise ExportError(f"{file.path} has no tokenizer; it cannot complete text")
    if kind not in ("gpt2", "llama"):
        raise ExportError(f"{file.path} has a tokenizer of kind {str(kind)[:40]!r}; only 'gpt2' and 'llama' are known")
    spellings = file.strings("tokenizer.ggml.tokens")
    if not spellings:
        raise ExportError(f"{file.path} has a tokenizer without entries; fetch the file again")
    kinds = file.numbers("tokenizer.ggml.token_type")
    if len(kinds) not in (0, len(spellings)):
        raise ExportError(f"{file.path} has {len(spellings)} entries but {len(kinds)} types of them; fetch it again")
    return Entries(spellings, kinds if len(kinds) else np.full(len(spellings), _NORMAL), str(kind))


def split_rule_of(file: GgufFile) -> str:
    """The name of the rule that splits text. Errors: ExportError if it is unknown."""
    name = file.fields.get("tokenizer.ggml.pre", "default")
    if name not in SPLIT_RULES:
        raise ExportError(
            f"{file.path} cuts text by the rule {str(name)[:40]!r}, which is not known; known are: "
            f"{', '.join(sorted(SPLIT_RULES))}"
        )
    return str(name)


def read_tokenizer(file: GgufFile) -> TokenizerOfFile:
    """Everything that a model folder says about its tokenizer. Errors: ExportError, in one line."""
    entries = read_entries(file)
    whole = _byte_level(file, entries) if entries.kind == "gpt2" else _sentencepiece(file, entries)
    added = entries.added
    return TokenizerOfFile(
        json.dumps(whole, ensure_ascii=False),
        entries.count,
        control_of(file, entries),
        fim_of(file, added),
        repository_tokens(added),
    )


def fim_of(file: GgufFile, added: Mapping[str, int]) -> FimTemplates | None:
    """Templates by the names of the entries, or else by the ids that the file states; None if there are none."""
    found = fim_templates(added)
    if found is not None:
        return found
    ids = [
        next((value for name in names if (value := _id(file, name)) is not None), None)
        for names in _FIM_FIELDS.values()
    ]
    prefix, suffix, middle = ids
    if prefix is None or suffix is None or middle is None or len(set(ids)) < len(ids):
        return None
    return FimTemplates({"psm": (prefix, "prefix", suffix, "suffix", middle)}, "psm")


def control_of(file: GgufFile, entries: Entries) -> ControlIds:
    """The ids of a file that begin and end texts. Errors: ExportError for ends that cannot be."""
    added, count = entries.added, entries.count
    named = [_id(file, name) for name in _END_FIELDS]
    if entries.kind == "llama" and named[0] is None:
        named[0] = _SENTENCEPIECE_IDS["eos"]
    special = entries.of_kind(_CONTROL)
    for token in named:
        if token is not None and int(entries.kinds[token]) == _NORMAL:
            _require_control(file, token, entries.spellings[token])
    found = [*named, *(special.get(text) for text in _ENDS), *end_ids(added)]
    ends = tuple(dict.fromkeys(token for token in found if token is not None and token < count))
    if not ends:
        raise ExportError(f"{file.path} names no end of a text, so no completion could end; convert it again")
    begin = _id(file, "bos_token_id")
    if begin is None and entries.kind == "llama":
        begin = _SENTENCEPIECE_IDS["bos"]
    stated = file.fields.get("tokenizer.ggml.add_bos_token")
    begins = stated if isinstance(stated, bool) else _begins(file, entries)
    pad = _id(file, "padding_token_id")
    return ControlIds(
        begin=begin if begins and begin is not None and begin < count else None,
        end=ends,
        pad=pad if pad is not None and pad < len(entries.spellings) else None,
    )


def _require_control(file: GgufFile, token: int, text: str) -> None:
    """Refuse ends that are ordinary text, because they would end completions inside words. Files of older converters
    mark control tokens as ordinary.
    """
    if not is_control_spelling(text):
        raise ExportError(
            f"{file.path} names {token} as the end of a text, which is the ordinary entry {shown(text)}; "
            "take another conversion of the model"
        )


def _begins(file: GgufFile, entries: Entries) -> bool:
    return entries.kind == "llama" or file.fields.get("tokenizer.ggml.pre") in BEGINS_TEXTS


def _id(file: GgufFile, name: str) -> int | None:
    """An id that the file states; None if it is not an id (some files write 2**32 - 1 for none)."""
    value = file.fields.get(f"tokenizer.ggml.{name}")
    known = file.arrays["tokenizer.ggml.tokens"].count
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < known else None


def _byte_level(file: GgufFile, entries: Entries) -> dict[str, Any]:
    rule = SPLIT_RULES[split_rule_of(file)]
    vocabulary = entries.of_kind(_NORMAL, _BYTE)
    merges = []
    for merge in file.strings("tokenizer.ggml.merges"):
        # A part is never empty, and may begin with a space in files that do not spell it.
        left, _, right = merge[1:].partition(" ")
        left = merge[:1] + left
        if left in vocabulary and right in vocabulary and left + right in vocabulary:
            merges.append([left, right])
    if not merges:
        raise ExportError(f"{file.path} has a tokenizer without merges; convert it again")
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges, "ignore_merges": rule.whole}
    decoder = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    return _whole(entries, model, None, rule.pre_tokenizer(), decoder)


def _sentencepiece(file: GgufFile, entries: Entries) -> dict[str, Any]:
    scores = file.numbers("tokenizer.ggml.scores")
    if len(scores) != len(entries.spellings):
        raise ExportError(f"{file.path} has {len(entries.spellings)} entries but {len(scores)} scores; fetch it again")
    vocabulary = entries.of_kind(_NORMAL, _BYTE, _UNKNOWN)
    merges = merges_of(entries.of_kind(_NORMAL), scores)
    unknown = entries.of_kind(_UNKNOWN)
    model = {
        "type": "BPE",
        "vocab": vocabulary,
        "merges": merges,
        "byte_fallback": True,
        "fuse_unk": True,
        "unk_token": next(iter(unknown), None),
    }
    steps: list[dict[str, Any]] = []
    if file.fields.get("tokenizer.ggml.add_space_prefix", True):
        steps.append({"type": "Prepend", "prepend": SPACE_MARK})
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": SPACE_MARK})
    decoder = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE_MARK}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
        ],
    }
    return _whole(entries, model, {"type": "Sequence", "normalizers": steps}, None, decoder)


def merges_of(vocabulary: Mapping[str, int], scores: NDArray[Any]) -> list[list[str]]:
    """The merges that are equivalent to SentencePiece's scores. SentencePiece first merges the two neighbours whose
    joined entry has the highest score. So each entry is a merge of any two entries that form it, in the order of the
    scores.
    """
    found = []
    for text, token in vocabulary.items():
        for cut in range(1, len(text)):
            left, right = vocabulary.get(text[:cut]), vocabulary.get(text[cut:])
            if left is not None and right is not None:
                found.append((-float(scores[token]), token, cut, text))
    return [[text[:cut], text[cut:]] for _, _, cut, text in sorted(found)]


def _whole(
    entries: Entries,
    model: Mapping[str, Any],
    normalizer: Mapping[str, Any] | None,
    pre_tokenizer: Mapping[str, Any] | None,
    decoder: Mapping[str, Any],
) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    control, user = entries.of_kind(_CONTROL, _UNKNOWN), entries.of_kind(_USER)
    added = [{"id": token, "content": text, "special": True} for text, token in control.items()]
    mark = SPACE_MARK if entries.kind == "llama" else " "
    added += [{"id": token, "content": text.replace(mark, " "), "special": False} for text, token in user.items()]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": sorted(({**flags, **token} for token in added), key=lambda token: int(token["id"])),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }
