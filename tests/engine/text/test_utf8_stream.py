"""From bytes to text: always valid, never too early, nothing lost."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from engine.text.utf8_stream import Utf8Stream

FAMILY = "👩‍👩‍👧"


def push_all(pieces: list[bytes]) -> list[str]:
    stream = Utf8Stream()
    return [stream.push(piece) for piece in pieces]


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.text(), st.lists(st.integers(min_value=0)))
@example(FAMILY, [1, 2, 3, 4, 5, 6, 7, 8])
@example("é\u0065\u0301", [1, 3])
def test_text_in_any_pieces_comes_back_whole(text, cuts):
    assert "".join(push_all(split(text.encode(), cuts))) == text


@given(st.binary(), st.lists(st.integers(min_value=0)))
@example(b"\xf0\x9f\xf0\x9f\x98\x80", [1, 2, 3])
@example(b"\xc3(\xed\xa0\x80\xff", [1])
def test_any_bytes_in_any_pieces_give_the_valid_characters(data, cuts):
    assert "".join(push_all(split(data, cuts))) == data.decode("utf-8", errors="ignore")


def test_a_character_appears_with_its_last_byte():
    assert push_all([b"\xf0", b"\x9f", b"\x98", b"\x80!"]) == ["", "", "", "😀!"]


def test_every_prefix_is_text_so_far():
    data, stream, text = "a→b".encode(), Utf8Stream(), ""
    for end in range(1, len(data) + 1):
        text += stream.push(data[end - 1 : end])
        assert text == data[:end].decode("utf-8", errors="ignore")


def test_an_unfinished_character_at_the_end_is_never_shown():
    assert push_all([b"x\xe2\x86"]) == ["x"]


def test_no_replacement_character_is_invented():
    assert push_all([b"a\xffb", b"\xc3", b"c"]) == ["ab", "", "c"]
    assert push_all(["\ufffd".encode()]) == ["\ufffd"]
