"""Blocks of text outside the windows: nothing is lost, and little is tokenised twice."""

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from engine.prompt import out_of_window
from engine.prompt.out_of_window import OutOfWindow
from engine.text.tokenizer import Tokenizer
from tests.fakes import toy_tokenizer

BLOCK = "def f(x):\n    return x\n\n    # an empty line above\n\n\n"


@given(st.lists(st.sampled_from(["def f(x):\n", "    return x\n", "\n", "é", "x = 1\n", " ", "\t"])))
def test_nothing_is_lost(parts: list[str]):
    text, tokenizer = "".join(parts), toy_tokenizer("superword")
    made = OutOfWindow(tokenizer)
    for _ in range(2):
        for ids in (made.before(text), made.after(text)):
            assert tokenizer.vocabulary.bytes_of(ids.tolist()) == text.encode()


def test_an_edit_is_one_block():
    tokenizer = toy_tokenizer("superword")
    made = OutOfWindow(tokenizer)
    made.before(BLOCK * 5 + "x = 1\n")
    with patch.object(Tokenizer, "encode_inside", autospec=True, side_effect=Tokenizer.encode_inside) as encode:
        made.before(BLOCK * 2 + BLOCK.replace("x", "y") + BLOCK * 2 + "x = 1\n")
    assert [call.args[1] for call in encode.call_args_list] == [BLOCK.replace("x", "y")]


def test_the_nearest_text_counts():
    tokenizer = toy_tokenizer("superword")
    with patch.object(out_of_window, "MOST_CHARACTERS", 7):
        made = OutOfWindow(tokenizer)
        assert tokenizer.decode_bytes(made.before("first second").tolist()) == b" second"
        assert tokenizer.decode_bytes(made.after("first second").tolist()) == b"first s"


def test_few_blocks_are_kept():
    with patch.object(out_of_window, "KEPT_CHARACTERS", 10):
        made = OutOfWindow(toy_tokenizer("superword"))
        text = "\n\n".join("abcdef")
        assert made.before(text).tolist() == made.before(text).tolist()
        assert list(made._blocks) == ["c\n\n", "d\n\n", "e\n\n", "f"]
        assert made.after("long " * 9).tolist() == made.before("long " * 9).tolist()
        assert not made._blocks
