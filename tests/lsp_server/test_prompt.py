from lsp_server.documents import Document
from lsp_server.prompt import CONTEXT_CHARACTERS, CONTEXT_PER_DOCUMENT, Place, build_request
from lsp_server.settings import Settings


def document(text: str, name: str = "a.py", language: str = "python") -> Document:
    return Document.create(f"file:///{name}", language, 1, text)


def build(text: str, place: Place, settings: Settings | None = None, *others: Document):
    return build_request(document(text), place, settings or Settings(), others, 2, 300.0)


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
    assert build("x", Place(1, 1, "")).stop.lines == "single"


def test_other_documents_go_along_only_if_asked_for():
    other = document("def helper(): ...\r\n", "b.py")
    assert build("x", Place(1, 1, ""), None, other).extra_context == ""
    asked = Settings(cross_file_context=True)
    assert build("x", Place(1, 1, ""), asked, other).extra_context == "def helper(): ...\n\n"


def test_other_documents_are_of_the_same_language_allowed_and_bounded():
    asked = Settings(cross_file_context=True)
    others = (
        document("newest = 1\n", "b.py"),
        document("older = 1\n", "c.py"),
        document("let x = 1;\n", "d.ts", "typescript"),
        document("PASSWORD = 1\n", ".env"),
        document("mine\n", "a.py"),
        document("  \n", "e.py"),
    )
    assert build("x", Place(1, 1, ""), asked, *others).extra_context == "older = 1\n\nnewest = 1\n\n"
    long = [document("y = 1\n" * 2000, f"{n}.py") for n in range(9)]
    context = build("x", Place(1, 1, ""), asked, *long).extra_context
    assert CONTEXT_PER_DOCUMENT < len(context) <= CONTEXT_CHARACTERS + 9
    assert set(context.split("\n")) == {"y = 1", ""}


def test_what_belongs_to_drawing_does_not_stand_in_the_way_of_a_search():
    request = build("x", Place(1, 1, ""), Settings(strategy="beam", temperature=0.5, top_p=0.7))
    assert (request.sampling.strategy, request.sampling.temperature) == ("beam", 1.0)
