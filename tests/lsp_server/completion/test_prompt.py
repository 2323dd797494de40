import pytest

from engine import Snippet
from lsp_server.code.confidence import PROSE_CONFIDENCE
from lsp_server.completion.prompt import Place, build_request, code_at
from lsp_server.context.cross_file import Extra
from lsp_server.documents.documents import Document
from lsp_server.settings import Settings


def document(text: str, name: str = "a.py", language: str = "python") -> Document:
    return Document.create(f"file:///{name}", language, 1, text)


def build(text: str, place: Place, settings: Settings | None = None):
    made = document(text)
    return build_request(
        made, code_at(made, place), settings or Settings(), Extra(), candidates=2, automatic=True, budget_ms=300.0
    )


def test_the_engine_gets_what_is_before_and_after_the_cursor_with_newlines():
    request = build("import os\r\nos.pa)\r\n", Place(14, 16, "pa"))
    assert request.prefix == "import os\nos.pa"
    assert request.suffix == ")\n"
    assert (request.language, request.max_completions, request.budget_ms) == ("python", 2, 300.0)


def test_a_selected_item_stands_in_for_what_it_replaces():
    request = build("os.pa)", Place(3, 5, "path"))
    assert (request.prefix, request.suffix) == ("os.path", ")")


def test_settings_reach_the_engine():
    settings = Settings(
        healing="off",
        max_surprise_bits=20,
        max_new_tokens=9,
        multi_line=True,
        strategy="sample",
        temperature=0.5,
        top_p=0.7,
    )
    request = build("x", Place(1, 1, ""), settings)
    assert (request.healing.mode, request.healing.max_surprise_bits) == ("off", 20)
    assert (request.stop.max_new_tokens, request.stop.lines) == (9, "multi")
    assert (request.sampling.strategy, request.sampling.temperature, request.sampling.top_p) == ("sample", 0.5, 0.7)


def test_what_else_the_model_may_see_goes_along():
    made = document("x")
    extra = Extra((Snippet("a = 1\n\n"), Snippet("b = 2\n\n", "b.py", "# b.py\n")), "import os\n")
    code = code_at(made, Place(1, 1, ""))
    request = build_request(made, code, Settings(), extra, candidates=1, automatic=True, budget_ms=1.0)
    assert (request.extra_context, request.imports) == (extra.pieces, extra.imports)


def test_what_belongs_to_drawing_does_not_stand_in_the_way_of_a_search():
    request = build("x", Place(1, 1, ""), Settings(strategy="beam", temperature=0.5, top_p=0.7))
    assert (request.sampling.strategy, request.sampling.temperature) == ("beam", 1.0)


@pytest.mark.parametrize(
    ("multi_line", "text", "lines"),
    [
        (True, "x = ", "multi"),
        (False, "def f():", "single"),
        ("auto", "def f():", "multi"),
        ("auto", "# x", "single"),
    ],
)
def test_one_line_or_a_block(multi_line, text, lines):
    assert build(text, Place(len(text), len(text), ""), Settings(multi_line=multi_line)).stop.lines == lines


@pytest.mark.parametrize(
    ("text", "automatic", "least"),
    [("x = ", True, 0.2), ("# x", True, PROSE_CONFIDENCE), ("x = '", True, PROSE_CONFIDENCE), ("# x", False, 0.0)],
)
def test_how_sure_the_model_must_be(text, automatic, least):
    made, settings = document(text), Settings(min_confidence=0.2)
    code = code_at(made, Place(len(text), len(text), ""))
    request = build_request(made, code, settings, Extra(), candidates=1, automatic=automatic, budget_ms=1.0)
    assert request.stop.min_confidence == least
