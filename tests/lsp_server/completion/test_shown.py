from dataclasses import replace

import pytest

from lsp_server.completion.prompt import Place, code_at
from lsp_server.completion.shown import fitted
from lsp_server.documents.documents import Document
from tests.lsp_server.fakes import completion_of, result_of


def document(text: str) -> Document:
    return Document.create("file:///a.py", "python", 1, text)


def fit(text: str, *guesses: str):
    before, after = text.split("|")
    code = code_at(document(before + after), Place(len(before), len(before), ""))
    return [completion.text for completion in fitted(result_of(*guesses), code).completions]


@pytest.mark.parametrize(
    ("text", "guess", "stop"),
    [("print(|)", "x), y", "cut"), ("print(|)", "x, y", "length"), ("x = |", "[1,  ", "length")],
)
def test_a_text_that_was_cut_says_so(text, guess, stop):
    before, after = text.split("|")
    code = code_at(document(before + after), Place(len(before), len(before), ""))
    broken_off = replace(completion_of(guess), stop="length")
    result = replace(result_of(), completions=(broken_off,))
    assert [completion.stop for completion in fitted(result, code).completions] == [stop]


def test_what_is_shown_fits_its_place():
    assert fit("print(|)", "x), y", "y", "   ", "x") == ["x", "y"]


def test_several_lines_are_shown_to_whom_they_are_due():
    code = code_at(document("x = "), Place(4, 4, ""))
    result = result_of("1\ny = 2")
    assert [completion.text for completion in fitted(result, code).completions] == ["1"]
    assert [completion.text for completion in fitted(result, code, several_lines=True).completions] == ["1\ny = 2"]
