"""The bytes of every token id, which ids are control tokens, and which may be candidates of healing.

Read from a ``tokenizer.json`` (the file format of the ``tokenizers`` library) with a BPE model of one of two kinds:

- *byte-level* (GPT-2): an entry spells its bytes with the 256 characters of `engine.text.spellings.byte_alphabet`;
- *SentencePiece-style*: an entry is text in which ``▁`` (U+2581) stands for a space, and ``<0xNN>`` is one byte of a
  character that has no entry of its own (byte fallback).

The decisions, each with a test:

- *Control tokens* are the added tokens with ``special`` true, those that the manifest names (Qwen's file does not call
  its fill-in-the-middle tokens special), the unknown token, and gaps (ids below ``size`` that the file does not name).
  Their bytes are empty, and they are never candidates. If a file gives one id both to a control token and to an
  ordinary entry, the control token wins and the entry is dropped, because text must never encode to a control token.
- *Added tokens that are not special* are ordinary text: their bytes are their content, and they are candidates.
- *Unreachable ids* can never come out of the encoder, so they are not candidates: entries that are neither in the base
  alphabet nor the result of a merge of reachable entries (with ``ignore_merges`` every entry is reachable, for a whole
  pre-token is looked up), a byte-fallback token whose byte has an entry of its own, and entries of a byte-level
  vocabulary that use characters outside its alphabet.
- *Equal bytes*: of several reachable ids with the same bytes, one is the candidate: the one that the encoder takes. An
  added token comes before a merged one, and then the lowest id counts.
- *Entries without bytes* are never candidates; entries of any length (128, 1024 bytes) are entries like any other.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, get_args

import numpy as np

from engine.errors import ContractError, ModelFolderError
from engine.text.spellings import FALLBACK, SPACE_MARK, byte_alphabet, byte_level_bytes, sentencepiece_bytes
from engine.types import IdArray

Kind = Literal["byte-level", "sentencepiece"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MAX_SIZE = 1 << 20
"""More ids than any vocabulary has. Without this limit a wrong huge id would become a huge tuple."""
LONGEST_ENTRY = 4096
"""Limit for the characters of an entry; real ones have up to about a thousand."""
MOST_ADDED = 1 << 14
"""Limit for added tokens; real files have up to seven thousand."""
# Bytes that occur in UTF-8 text.
_UTF8_BYTES = frozenset(range(256)) - {0xC0, 0xC1, *range(0xF5, 0x100)}
# Bytes that occur in all code: a vocabulary without an entry for one of them is useless.
_CODE_BYTES = frozenset({*b"\t\n\r", *range(0x20, 0x7F)})


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Ids and their bytes. ``token_bytes[id]`` is ``b""`` for control tokens; ``candidate_ids``, ``[C] int32``,
    ascending, are the ids that may be candidates of healing; ``longest`` is the length of the longest entry in bytes.
    ``missing`` are the bytes of UTF-8 that no entry can write (`engine.text.unwritten_bytes`).
    """

    token_bytes: tuple[bytes, ...]
    control_ids: frozenset[int]
    candidate_ids: IdArray
    longest: int
    kind: Kind
    missing: frozenset[int] = frozenset()

    @property
    def size(self) -> int:
        """One more than the highest id."""
        return len(self.token_bytes)

    def bytes_of(self, ids: Iterable[int]) -> bytes:
        """The bytes that ``ids`` write, control tokens nothing. The ids must be in range."""
        token_bytes = self.token_bytes
        return b"".join([token_bytes[token] for token in ids])


@dataclass(frozen=True, slots=True)
class TokenizerFile:
    """The parts of a ``tokenizer.json`` that say what its ids mean.

    ``entries`` are the model's, without those that share an id or a spelling with a control token; ``ordinary`` are the
    added tokens that are text; ``dropped`` are the entries left out, by spelling.
    """

    raw: Mapping[str, Any]
    model: Mapping[str, Any]
    kind: Kind
    entries: Mapping[str, int]
    ordinary: Mapping[str, int]
    control: frozenset[int]
    dropped: frozenset[str]

    @property
    def ignore_merges(self) -> bool:
        return bool(self.model.get("ignore_merges"))


def read_tokenizer(tokenizer_json: str, control: Collection[int] = ()) -> tuple[TokenizerFile, Vocabulary]:
    """The parts of a ``tokenizer.json`` and its vocabulary; parameters and errors are those of `load_vocabulary`."""
    file = parse_tokenizer(tokenizer_json, control)
    with reading_parts():
        return file, build_vocabulary(file)


def load_vocabulary(tokenizer_json: str, control: Collection[int] = ()) -> Vocabulary:
    """The vocabulary of a ``tokenizer.json`` given as text; ``control`` are ids of added tokens to take as control.

    Raises `ModelFolderError` if the text is not a tokenizer at all, `ContractError` if it is one that cannot be
    healed exactly: another model than BPE, entries whose bytes are not defined, ids given twice, missing bytes.
    """
    return build_vocabulary(parse_tokenizer(tokenizer_json, control))


def parse_tokenizer(tokenizer_json: str, control: Collection[int] = ()) -> TokenizerFile:
    """Decode a ``tokenizer.json`` and sort its entries; parameters and errors are those of `load_vocabulary`."""
    try:
        raw = json.loads(tokenizer_json)
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"tokenizer.json is not JSON ({error}); copy or export the model again") from None
    with reading_parts():
        return _parse(raw, control)


@contextmanager
def reading_parts() -> Iterator[None]:
    """For code that reads a tokenizer.json: a missing field or a wrong type raises `ModelFolderError`."""
    try:
        yield
    except RecursionError as error:
        raise ModelFolderError("tokenizer.json is nested too deeply; copy or export the model again") from error
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError) as error:
        problem = f"field {error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise ModelFolderError(f"tokenizer.json is malformed ({problem}); copy or export the model again") from None


def build_vocabulary(file: TokenizerFile) -> Vocabulary:
    """Bytes, control ids and candidates of a parsed file. Raises `ContractError` if a byte cannot be written."""
    spellings = list(file.entries)
    spelled = byte_level_bytes(spellings) if file.kind == "byte-level" else sentencepiece_bytes(spellings)
    token_bytes = [b""] * (1 + max([*file.entries.values(), *file.ordinary.values(), *file.control], default=-1))
    for token, data in zip(file.entries.values(), spelled, strict=True):
        token_bytes[token] = data
    for text, token in file.ordinary.items():
        token_bytes[token] = text.encode()
    named = {*file.entries.values(), *file.ordinary.values()}
    control = frozenset(file.control.union(set(range(len(token_bytes))) - named))
    reachable = _reachable(file, dict(zip(spellings, spelled, strict=True)))
    missing = _missing_bytes(file, {token_bytes[token] for token in reachable})
    candidates = _without_equals((*file.ordinary.values(), *reachable), token_bytes)
    candidates.flags.writeable = False
    longest = max(map(len, token_bytes), default=0)
    return Vocabulary(tuple(token_bytes), control, candidates, longest, file.kind, missing)


def _parse(raw: Any, wanted: Collection[int]) -> TokenizerFile:
    if not isinstance(raw, dict):
        raise TypeError(f"an object is expected, not {type(raw).__name__}")
    model = raw["model"]
    kind = _kind(raw, model)
    _check_lengths(model["vocab"], raw.get("added_tokens") or [])
    control, ordinary = _added_tokens(raw.get("added_tokens") or [], model, wanted)
    reserved = set(control.values())
    taken = control.keys() | ordinary.keys()
    entries = {text: token for text, token in model["vocab"].items() if text not in taken and token not in reserved}
    _check_ids([*entries.values(), *ordinary.values(), *reserved])
    dropped = frozenset(model["vocab"].keys() - entries.keys() - ordinary.keys())
    return TokenizerFile(raw, model, kind, entries, ordinary, frozenset(reserved), dropped)


def _kind(raw: Mapping[str, Any], model: Mapping[str, Any]) -> Kind:
    """Which of the two kinds of BPE this is. Raises `ContractError` for everything else."""
    name = model.get("type") or ("BPE" if "merges" in model else "of unknown type")
    if name != "BPE":
        raise ContractError(f"tokenizer.json holds a {name} model; healing needs BPE")
    for affix in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(affix):
            raise ContractError(
                f"tokenizer.json has a {affix} ({model[affix]!r}); the bytes of its entries are unclear"
            )
    if "ByteLevel" in components(raw.get("pre_tokenizer")):
        return "byte-level"
    if "ByteLevel" in components(raw.get("decoder")) or "ByteLevel" in components(raw.get("normalizer")):
        raise ContractError("tokenizer.json decodes bytes but has no ByteLevel pre-tokenizer; it cannot encode exactly")
    marked = {"Metaspace"} & (components(raw.get("pre_tokenizer")).keys() | components(raw.get("decoder")).keys())
    replaced = components(raw.get("normalizer")).get("Replace", {})
    if marked or replaced.get("content") == SPACE_MARK:
        return "sentencepiece"
    raise ContractError("tokenizer.json is neither byte-level nor SentencePiece-style BPE; its entries have no bytes")


def components(part: Any) -> dict[str, Mapping[str, Any]]:
    """A normalizer, pre-tokenizer or decoder with the members of its sequences flattened, by type (the last wins)."""
    if not isinstance(part, dict):
        return {}
    found: dict[str, Mapping[str, Any]] = {str(part.get("type")): part}
    for name in ("normalizers", "pretokenizers", "decoders"):
        for member in part.get(name) or ():
            found.update(components(member))
    return found


def _added_tokens(
    added: Sequence[Mapping[str, Any]], model: Mapping[str, Any], wanted: Collection[int]
) -> tuple[dict[str, int], dict[str, int]]:
    """Control tokens and ordinary added tokens, each content to id. The unknown token writes nothing: it is control."""
    control = {token["content"]: token["id"] for token in added if token.get("special") or token["id"] in wanted}
    unknown = model.get("unk_token")
    if unknown in model["vocab"]:
        control.setdefault(unknown, model["vocab"][unknown])
    ordinary = {token["content"]: token["id"] for token in added if token["content"] not in control}
    ordinary.pop("", None)
    return control, ordinary


def _check_lengths(entries: Mapping[str, Any], added: Sequence[Mapping[str, Any]]) -> None:
    longest = max(map(len, chain(entries, (token["content"] for token in added))), default=0)
    if longest > LONGEST_ENTRY:
        raise ContractError(f"tokenizer.json has an entry of {longest} characters; at most {LONGEST_ENTRY} are read")
    if len(added) > MOST_ADDED:
        raise ContractError(f"tokenizer.json has {len(added)} added tokens; at most {MOST_ADDED} are read")


def _check_ids(ids: Collection[Any]) -> None:
    if not set(map(type, ids)) <= {int}:
        raise TypeError("an id is not a whole number")
    if ids and not (min(ids) >= 0 and max(ids) < MAX_SIZE):
        raise ContractError(f"tokenizer.json has ids from {min(ids)} to {max(ids)}; they must be 0 to {MAX_SIZE - 1}")
    if len(set(ids)) < len(ids):
        [(twice, _)] = Counter(ids).most_common(1)
        raise ContractError(f"tokenizer.json gives id {twice} to two entries; export the model again")


def _reachable(file: TokenizerFile, bytes_by_spelling: Mapping[str, bytes]) -> list[int]:
    """Ids of the entries that the encoder can produce, ascending."""
    reached = _base(file, bytes_by_spelling)
    entries = file.entries
    if file.ignore_merges:
        known: Collection[str] = (
            _within_alphabet(entries)
            if file.kind == "byte-level"
            else [text for text in entries if not FALLBACK.match(text) or text in reached]
        )
        return sorted(entries[text] for text in known)
    # Merges are ranked, so the parts of nearly every one are reached already. The others wait for the missing part.
    waiting: dict[str, list[tuple[str, str]]] = {}
    for left, right in merge_pairs(file):
        if left not in reached or right not in reached:
            waiting.setdefault(right if left in reached else left, []).append((left, right))
        elif (whole := left + right) in entries:
            reached.add(whole)
            if whole in waiting:
                _reach_waiting(whole, waiting, reached, entries)
    return sorted(entries[text] for text in reached)


def _reach_waiting(
    text: str, waiting: dict[str, list[tuple[str, str]]], reached: set[str], entries: Mapping[str, int]
) -> None:
    """Add what can be merged now that ``text`` is reached. Changes ``waiting`` and ``reached``."""
    pending = waiting.pop(text)
    while pending:
        left, right = pending.pop()
        missing = left if left not in reached else right
        if missing not in reached:
            waiting.setdefault(missing, []).append((left, right))
        elif (whole := left + right) in entries and whole not in reached:
            reached.add(whole)
            pending += waiting.pop(whole, ())


def _within_alphabet(spellings: Collection[str]) -> Collection[str]:
    """The spellings that use only the byte-level alphabet; nearly always all of them."""
    alphabet = set(byte_alphabet())
    if alphabet.issuperset("".join(spellings)):
        return spellings
    return [text for text in spellings if alphabet.issuperset(text)]


def _base(file: TokenizerFile, bytes_by_spelling: Mapping[str, bytes]) -> set[str]:
    """The entries of the base alphabet: what the encoder starts from before the first merge."""
    if file.kind == "byte-level":
        return set(byte_alphabet()) & file.entries.keys()
    found = {text for text in file.entries if len(text) == 1}
    if file.model.get("byte_fallback"):
        own = {bytes_by_spelling[text] for text in found}
        found |= {text for text in file.entries if FALLBACK.match(text) and bytes_by_spelling[text] not in own}
    return found


def merge_pairs(file: TokenizerFile) -> list[tuple[str, str]]:
    """The merges in the order of their ranks: each is ``["a", "b"]``, or ``"a b"`` in older files. Pairs are tuples
    already if they come from our cache.

    Raises `ModelFolderError` for anything else.
    """
    merges = file.model["merges"]
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    well_formed = set(map(type, pairs)) <= {list, tuple} and set(map(len, pairs)) <= {2}
    if not (well_formed and set(map(type, chain.from_iterable(pairs))) <= {str}):
        raise ModelFolderError("tokenizer.json has malformed merges; copy or export the model again")
    return [(left, right) for left, right in pairs]


def _missing_bytes(file: TokenizerFile, written: Collection[bytes]) -> frozenset[int]:
    """The bytes of UTF-8 that have no entry. Raises `ContractError` if code needs one of them."""
    missing = sorted(byte for byte in _UTF8_BYTES if bytes([byte]) not in written)
    fallback = file.kind == "byte-level" or file.model.get("byte_fallback")
    if missing and (not fallback or _CODE_BYTES & set(missing)):
        first = next((byte for byte in missing if byte in _CODE_BYTES), missing[0])
        advice = "" if file.kind == "byte-level" else "; it needs byte fallback (<0x00> to <0xFF>)"
        raise ContractError(f"tokenizer.json has no entry for byte 0x{first:02X}, so it would lose text{advice}")
    return frozenset(missing)


def _without_equals(preferred: Iterable[int], token_bytes: Sequence[bytes]) -> IdArray:
    """``[C] int32``, ascending: of ids with equal bytes only the first in order, and no ids without bytes."""
    chosen: dict[bytes, int] = {}
    for token in preferred:
        chosen.setdefault(token_bytes[token], token)
    chosen.pop(b"", None)
    return np.array(sorted(chosen.values()), np.int32)
