"""Hypothesis strategies that all tests share. A feature that handles a new kind of text adds it here."""

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from engine.config import DRAWS, SamplingParams
from engine.text.tokenizer import Tokenizer
from engine.text.vocabulary import Vocabulary
from tests.toy import CONTROL_TOKENS, TOYS, byte_level_json, every_byte

_PIECES = (
    *("import numpy as np", "return self.name", "self", ".set", " re", "http:", "https://", "name", "nump", "as"),
    *("don't", "I'LL", "they're", "'re", "'", "''s", "HTMLParser", "camelCase", "x_1", "Σίσυφος", "ſ"),
    *("1", "12", "1234", "1234567", "٣", "½", "0x1F", "1.5e-3"),
    *(
        " ",
        "  ",
        "    ",
        " " * 7,
        "\t",
        "\n",
        "\n\n",
        "\r\n",
        "\n    ",
        "\n\t",
        "  \n",
        "\r",
        "\u00a0",
        "\u2003",
        "\x85",
    ),
    *("(", ")", "):", "[", ' ["', '{"', '"', '":', "==", "//", "/", ";\n", "...", "----", "#", "\\", "<|", "|>"),
    *("中文", "广州的白云", "한국어", "日本", "é", "e\u0301", "\u0301", "ß", "👩\u200d💻", "👍🏽", "🇩🇪", "\u200d", "▁"),
    *CONTROL_TOKENS,
    *("<|endo", "ftext|>", "<|fim_"),
)


def code_text(max_pieces: int = 12) -> SearchStrategy[str]:
    """Text like code, with everything that is hard: see `_PIECES`, and some other characters."""
    anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
    pieces = st.one_of(st.sampled_from(_PIECES), st.sampled_from(_PIECES), anything)
    return st.lists(pieces, max_size=max_pieces).map("".join)


def byte_prefixes(vocabulary: Vocabulary) -> SearchStrategy[bytes]:
    """Bytes that may begin an entry: beginnings of entries, the same with one byte changed or added, and any bytes."""
    entries = st.sampled_from(vocabulary.candidate_ids.tolist()).map(vocabulary.token_bytes.__getitem__)
    beginnings = st.builds(lambda entry, cut: entry[: cut % (len(entry) + 1)], entries, st.integers(0, 2000))
    return st.one_of(beginnings, st.builds(bytes.__add__, beginnings, st.binary(max_size=2)), st.binary(max_size=4))


def byte_strings() -> SearchStrategy[bytes]:
    """Bytes that are not quite text: pieces of code cut anywhere and joined with any bytes."""
    cut = st.builds(lambda text, a, b: text.encode()[a : len(text.encode()) - b], code_text(4), _cut(), _cut())
    return st.lists(st.one_of(cut, st.binary(max_size=3)), max_size=3).map(b"".join)


def _cut() -> SearchStrategy[int]:
    return st.integers(0, 3)


def toy_tokenizers() -> SearchStrategy[Tokenizer]:
    """One of the toy tokenizers."""
    return st.sampled_from(sorted(TOYS)).map(lambda name: Tokenizer(TOYS[name]()))


@st.composite
def merge_lists(draw: Callable[[SearchStrategy[bytes]], bytes], max_size: int = 12) -> list[tuple[bytes, bytes]]:
    """Merges of a byte-level BPE over few bytes, each of entries that exist by then. Two merges may make the same
    entry.
    """
    entries = [b"a", b"b", b" ", b"\n", b"\xc3", b"\xa9", b"\xff"]
    merges: list[tuple[bytes, bytes]] = []
    for _ in range(max_size):
        pair = draw(st.sampled_from(entries)), draw(st.sampled_from(entries))
        if pair not in merges:
            merges.append(pair)
            entries.append(b"".join(pair))
    return merges


def random_vocabularies() -> SearchStrategy[str]:
    """Byte-level tokenizers of random merges and without a pre-tokenizer, as tokenizer.json."""
    return merge_lists().map(
        lambda merges: byte_level_json([*every_byte(), *dict.fromkeys(left + right for left, right in merges)], merges)
    )


def drawing_params() -> SearchStrategy[SamplingParams]:
    """Any parameters of the strategies that choose from one row alone, including greedy."""
    return st.builds(
        SamplingParams,
        strategy=st.sampled_from(["greedy", *DRAWS]),
        temperature=st.floats(0, 100),
        top_k=st.integers(0, 15),
        top_p=st.floats(1e-12, 1.0),
        min_p=st.floats(0, 1),
        top_n_sigma=st.floats(0, 5),
        eta=st.floats(0, 1),
        epsilon=st.floats(0, 1),
        repetition_penalty=st.floats(0.1, 10),
        frequency_penalty=st.floats(-2, 2),
        presence_penalty=st.floats(-2, 2),
        no_repeat_ngram=st.integers(0, 4),
        edt_base=st.floats(1e-3, 1),
        edt_theta=st.floats(0, 100),
        gate_entropy_bits=st.floats(0, 4),
        gate_varentropy_bits=st.floats(0, 4),
        kl_sigma=st.floats(1e-3, 100),
        seed=st.integers(0, 2**63 - 1),
    )
