"""The ``tokenizers`` library, set up to encode text unchanged, and only text.

What changes or hides text is left out: control tokens, dropout, truncation, padding, templates, Unicode normalisation,
the space that some pre-tokenizers put first. A tokenizer whose vocabulary depends on a step that changes text
(lower-casing, stripped accents or spaces) is refused.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import tokenizers
from tokenizers import AddedToken, models, pre_tokenizers

from engine.errors import ContractError
from engine.text.pretokenization import Pretokenization, parse_pretokenization
from engine.text.spellings import SPACE_MARK
from engine.text.vocabulary import TokenizerFile, components, merge_pairs

T = TypeVar("T")
LeadingSpace = Literal["never", "always", "unless-space"]
_HARMLESS = frozenset({"NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Sequence", "Prepend", "Replace"})


def library_tokenizer(file: TokenizerFile) -> tokenizers.Tokenizer:
    """A library tokenizer with the entries, merges and pre-tokenizer of ``file``. Its input must be spelled by
    `spelled`.

    Raises `ContractError` if exact encoding with it is not possible, in the library or here.
    """
    _check_normalizer(file)
    try:
        library = tokenizers.Tokenizer(_bpe(file, ignore_merges=file.ignore_merges))
        library.pre_tokenizer = _pre_tokenizer(file)
    except Exception as error:
        raise ContractError(f"tokenizer.json is refused by the tokenizers library ({error})") from None
    library.add_tokens([AddedToken(text, normalized=False, special=False) for text in _ordinary(file)])
    return library


def guarded(call: Callable[[str], T], text: str, model: str) -> T:
    """The library's result. A panic of the library is not an `Exception`; it becomes a `ContractError` that names the
    model.
    """
    try:
        return call(text)
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ContractError(
            f"the tokenizer of {model} gives up on a text ({str(error)[:80]}); use another model"
        ) from error


def splitter(library: tokenizers.Tokenizer, model: str) -> Callable[[str], list[str]]:
    """A function from a text to its pre-tokens, both as the library spells them. A tokenizer without a pre-tokenizer
    does not split at all. The function raises `ContractError`, which names the ``model``, where the library gives up.
    """
    split = library.pre_tokenizer
    if split is None:
        return lambda spelled: [spelled]
    return lambda spelled: [piece for piece, _ in guarded(split.pre_tokenize_str, spelled, model)]


def merging_model(file: TokenizerFile) -> models.Model:
    """The model of ``file`` without the lookup of whole pre-tokens: merges alone, as they write a part of one."""
    return _bpe(file, ignore_merges=False)


def pretokenization(file: TokenizerFile) -> Pretokenization:
    """What is known about the pre-token boundaries of ``file``. Raises `ContractError` if text would be lost."""
    return parse_pretokenization(
        file.raw.get("pre_tokenizer"), {" ": SPACE_MARK} if file.kind == "sentencepiece" else None
    )


def leading_space(file: TokenizerFile) -> LeadingSpace:
    """Whether encoding begins with a space that the text does not have. Never for byte-level vocabularies, where it
    would only be a convention of the training, and where the bytes must not change.
    """
    if file.kind == "byte-level":
        return "never"
    prepended = components(file.raw.get("normalizer")).get("Prepend")
    if prepended is not None:
        if prepended.get("prepend") != SPACE_MARK:
            raise ContractError(f"the Prepend normalizer adds {prepended.get('prepend')!r}; only a space is understood")
        return "always"
    metaspace = components(file.raw.get("pre_tokenizer")).get("Metaspace")
    if metaspace is None:
        return "never"
    scheme = metaspace.get("prepend_scheme") or ("always" if metaspace.get("add_prefix_space", True) else "never")
    return "never" if scheme == "never" else "unless-space"


def spelled(file: TokenizerFile, text: str) -> str:
    """``text`` as the library's model spells it, before its pre-tokenizer."""
    return text.replace(" ", SPACE_MARK) if file.kind == "sentencepiece" else text


def renumbered(file: TokenizerFile, library: tokenizers.Tokenizer) -> dict[int, int]:
    """Maps library ids to ids of the file, for added tokens that share the spelling of an entry."""
    pairs = [(library.token_to_id(spelled(file, text)), token) for text, token in file.ordinary.items()]
    return {found: token for found, token in pairs if found is not None and found != token}


def _bpe(file: TokenizerFile, *, ignore_merges: bool) -> models.BPE:
    entries = {**_ordinary(file), **file.entries}
    merges = merge_pairs(file)
    if file.dropped:
        # Entries that are also control tokens are removed, so the merges that lead to them must be removed too.
        merges = [(left, right) for left, right in merges if {left, right, left + right} <= entries.keys()]
    fallback = bool(file.model.get("byte_fallback"))
    return models.BPE(vocab=entries, merges=merges, ignore_merges=ignore_merges, byte_fallback=fallback)


def _ordinary(file: TokenizerFile) -> dict[str, int]:
    return {spelled(file, text): token for text, token in file.ordinary.items()}


def _check_normalizer(file: TokenizerFile) -> None:
    found = components(file.raw.get("normalizer"))
    for name in found.keys() - _HARMLESS:
        raise ContractError(f"the {name} normalizer changes text for good; completions need every byte")
    replaced = found.get("Replace")
    if replaced is not None and (replaced.get("pattern") != {"String": " "} or replaced.get("content") != SPACE_MARK):
        raise ContractError("the Replace normalizer replaces more than spaces; completions need every byte")
    first = file.raw.get("pre_tokenizer")
    while first is not None and first["type"] == "Sequence" and first["pretokenizers"]:
        first = first["pretokenizers"][0]
    if file.kind == "sentencepiece" and replaced is None and (first is None or first["type"] != "Metaspace"):
        raise ContractError("spaces become '▁' after other pre-tokenizers, or never; this order is not supported")


def _pre_tokenizer(file: TokenizerFile) -> pre_tokenizers.PreTokenizer | None:
    config = file.raw.get("pre_tokenizer")
    if config is None:
        return None
    # The library builds a pre-tokenizer from a description only as a part of a whole tokenizer.
    shell = {
        "version": "1.0",
        "model": {"type": "BPE", "vocab": {}, "merges": []},
        "pre_tokenizer": _as_it_stands(config),
    }
    built: pre_tokenizers.PreTokenizer | None = tokenizers.Tokenizer.from_str(json.dumps(shell)).pre_tokenizer
    return built


def _as_it_stands(config: Mapping[str, Any]) -> dict[str, Any]:
    """A pre-tokenizer's description without the leading space."""
    plain = dict(config)
    if "pretokenizers" in plain:
        plain["pretokenizers"] = [_as_it_stands(member) for member in plain["pretokenizers"]]
    if "add_prefix_space" in plain:
        plain["add_prefix_space"] = False
    if plain["type"] == "Metaspace":
        plain["prepend_scheme"] = "never"
    return plain
