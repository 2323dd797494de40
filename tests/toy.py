"""Small tokenizers that can be checked by hand, as the text of a tokenizer.json; shared by all tests.

In the byte-level ones the id of a single byte is the byte itself (``a`` is 97), entries of several bytes follow from
256 on in the order of their merges, then the four control tokens of `CONTROL_TOKENS`. The entries of `byte_level` as a
tree (a node in brackets is no entry; the base bytes are left out except on the way to an entry)::

    \\n─\\n                 "\\n\\n"
    \\r─\\n                 "\\r\\n"
    ␣┬␣──[␣]──␣            "  ", "    "
     ├─[n u m p]─y         " numpy"
     └─[s]─e─[l]─f         " se", " self"
    /──/                  "//"
    :──[/]──/             "://"
    1──2──3               "12", "123"
    a┬m                   "am"
     └─s                  "as"
    h──t──[t]──p──s       "ht", "http", "https"
    i──m──[p o r]──t      "im", "import"
    l──f                  "lf"
    m──e                  "me"
    n┬a──[m]──e           "na", "name"
     └─u──m──[p]──y       "nu", "num", "numpy"
    p┬o──[r]──t           "po", "port"
     └─y                  "py"
    r┬e──t──[u r]──n      "re", "ret", "return"
     └─t                  "rt"
    s──e┬[l]──f           "se", "self"
        └─t               "set"
    t──p                  "tp"
    u──r──n               "ur", "urn"
    C3──A9                "é"
    E4──B8                the first two bytes of "中" and its neighbours
    F0──9F──98            the first three bytes of most faces

`superword` adds entries that span words, `sentencepiece` spells the same with ``▁``, `plain` never cuts its text.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from engine.text.spellings import byte_alphabet

CONTROL_TOKENS = ("<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
GPT2_SPLIT = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LINE_SPLIT = r"\n+[ \t]*|[^\n]+"

# Left and right part, in the order of their ranks.
_WORDS = (
    *(("r", "e"), ("re", "t"), ("u", "r"), ("ur", "n"), ("ret", "urn")),
    *(("s", "e"), ("l", "f"), ("se", "lf"), ("se", "t"), (" ", "se"), (" se", "lf")),
    *(("n", "a"), ("m", "e"), ("na", "me"), ("a", "m"), ("a", "s")),
    *(("h", "t"), ("t", "p"), ("ht", "tp"), ("http", "s"), ("/", "/"), (":", "//")),
    *(("i", "m"), ("p", "o"), ("r", "t"), ("po", "rt"), ("im", "port")),
    *(("n", "u"), ("nu", "m"), ("p", "y"), ("num", "py"), (" ", "numpy")),
    *(("1", "2"), ("12", "3"), (" ", " "), ("  ", "  ")),
)
_LINES = (("\n", "\n"), ("\r", "\n"))
_SUPERWORDS = (
    *((" ", "as"), ("n", "p"), (" ", "np"), (" as", " np"), ("import", " numpy"), ("import numpy", " as np")),
    *(("return", " "), (" self", "."), ("\n", "    "), ("\n", "\n    "), ("self", "."), ("return ", "self.")),
)
_PARTIAL = ((b"\xc3", b"\xa9"), (b"\xe4", b"\xb8"), (b"\xf0", b"\x9f"), (b"\xf0\x9f", b"\x98"))


def byte_level() -> str:
    """Byte-level BPE that splits like GPT-2: words, digits, punctuation, spaces."""
    return _byte_level(_bytes(_WORDS + _LINES) + list(_PARTIAL), GPT2_SPLIT)


def superword() -> str:
    """Byte-level BPE that splits at line breaks only; it knows ``import numpy as np``, ``return `` and `` self.``."""
    return _byte_level(_bytes(_WORDS + _LINES + _SUPERWORDS) + list(_PARTIAL), LINE_SPLIT)


def plain() -> str:
    """Byte-level BPE whose text is never split: every document is one pre-token."""
    return _byte_level(_bytes(_WORDS + _LINES + _SUPERWORDS) + list(_PARTIAL), None)


def sentencepiece(*, metaspace: bool = False) -> str:
    """SentencePiece-style BPE: ids 0 to 255 are ``<0x00>`` to ``<0xFF>``, then characters, merges, control tokens.

    The leading space comes from a normalizer, or with ``metaspace`` from the pre-tokenizer, which splits at spaces.
    """
    merges = [(left.replace(" ", "▁"), right.replace(" ", "▁")) for left, right in _WORDS + _SUPERWORDS[:6]]
    characters = sorted({"▁", *"abcdefghijklmnopqrstuvwxyz./:123", "é"})
    entries = [f"<0x{byte:02X}>" for byte in range(256)] + characters
    entries += dict.fromkeys(left + right for left, right in merges)
    normalizer = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ],
    }
    splits = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
    return tokenizer_json(
        entries,
        merges,
        model={"byte_fallback": True},
        normalizer=None if metaspace else normalizer,
        pre_tokenizer=splits if metaspace else None,
    )


def tokenizer_json(
    entries: Sequence[str],
    merges: Sequence[tuple[str, str]],
    *,
    model: Mapping[str, Any] | None = None,
    added: Sequence[Mapping[str, Any]] = (),
    **parts: Any,
) -> str:
    """A tokenizer.json of entries numbered in order, then the control tokens, then ``added`` (content and flags)."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    specials = [{"content": content, "special": True} for content in CONTROL_TOKENS]
    tokens = [{"id": len(entries) + number, **flags, **token} for number, token in enumerate([*specials, *added])]
    bpe = {"type": "BPE", "vocab": {text: number for number, text in enumerate(entries)}, "merges": list(merges)}
    whole = {"version": "1.0", "added_tokens": tokens, "normalizer": None, "pre_tokenizer": None, "decoder": None}
    return json.dumps(whole | parts | {"model": bpe | dict(model or {})})


def trained_toy(corpus: Iterable[str], size: int, *, superwords: bool = False) -> str:
    """A byte-level BPE trained on ``corpus``, of at most ``size`` entries; its control tokens have ids 0 to 3."""
    tokenizer = Tokenizer(models.BPE())
    pattern = LINE_SPLIT if superwords else GPT2_SPLIT
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS],
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return str(tokenizer.to_str())


TOYS: Mapping[str, Callable[[], str]] = {
    "byte-level": byte_level,
    "superword": superword,
    "plain": plain,
    "sentencepiece": sentencepiece,
    "metaspace": lambda: sentencepiece(metaspace=True),
}


def spell(data: bytes) -> str:
    """Bytes in the byte-level alphabet."""
    alphabet = byte_alphabet()
    return "".join(alphabet[byte] for byte in data)


def byte_level_json(entries: Sequence[bytes], merges: Sequence[tuple[bytes, bytes]], **parts: Any) -> str:
    """`tokenizer_json` of byte-level entries (which should begin with the 256 bytes); ``parts`` as there."""
    defaults: dict[str, Any] = {"pre_tokenizer": _split(None), "decoder": _split(None)}
    return tokenizer_json(
        [spell(entry) for entry in entries],
        [(spell(left), spell(right)) for left, right in merges],
        **(defaults | parts),
    )


def every_byte() -> list[bytes]:
    """The 256 base entries."""
    return [bytes([byte]) for byte in range(256)]


def _byte_level(merges: Sequence[tuple[bytes, bytes]], pattern: str | None) -> str:
    entries = [*every_byte(), *dict.fromkeys(left + right for left, right in merges)]
    return byte_level_json(entries, merges, pre_tokenizer=_split(pattern))


def _split(pattern: str | None) -> dict[str, Any]:
    to_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    if pattern is None:
        return to_bytes
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, to_bytes]}


def _bytes(merges: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(left.encode(), right.encode()) for left, right in merges]
