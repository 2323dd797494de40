"""What the model sees of other documents, and that typing seldom changes it."""

from itertools import pairwise
from pathlib import Path

import pytest

from engine import Snippet
from lsp_server.context.cross_file import MOST_CHARACTERS, MOST_PIECES, NEAR_BEFORE, ContextFinder, imports_of
from lsp_server.documents.documents import Document

SERVER = Path(__file__).parents[3] / "lsp_server"
SOURCES = [SERVER / name for name in ("state.py", "scheduling/scheduler.py", "settings.py")]


def document(text: str, name: str = "main.py", language: str = "python", version: int = 1) -> Document:
    return Document.create(f"file:///project/{name}", language, version, text)


HELPER = document("def frobnicate(spam):\n    return spam\n", "helper.py")
OTHER = document("def unrelated(eggs):\n    return eggs\n", "other.py")


def find(text: str, *others: Document, finder: ContextFinder | None = None) -> tuple[str, ...]:
    """The passages for a cursor at ``

    ``.
    """
    at = text.index("|")
    made = document(text.replace("|", ""))
    return texts((finder or ContextFinder()).find(made, at, others).pieces)


def texts(pieces: tuple[Snippet, ...]) -> tuple[str, ...]:
    return tuple(piece.heading + piece.text for piece in pieces)


def test_what_has_something_in_common_with_the_code_goes_along_with_its_name():
    assert find("x = frobnicate(1)\n" * 9 + "|", HELPER, OTHER) == (
        "# project/helper.py\ndef frobnicate(spam):\n    return spam\n\n",
    )


def test_nothing_in_common_nothing_along():
    assert find("x = 1\n" * 9 + "|", HELPER, OTHER) == ()


def test_the_lines_below_count_too():
    assert len(find("|\nx = frobnicate(1)\n", HELPER, OTHER)) == 1


def test_documents_of_another_language_stay_out():
    assert find("x = frobnicate(1)\n" * 9 + "|", document("let frobnicate = 1;", "a.ts", "typescript")) == ()


def test_what_the_file_imports_comes_first():
    one = document("def shared(): ...\n", "one.py")
    two = document("def shared(): ...\n", "two.py")
    package = document("def shared(): ...\n", "three/__init__.py")
    text = "{}\n" + "shared()\n" * 9 + "|"
    assert "one.py" in find(text.format("pass"), one, two)[0]
    assert "two.py" in find(text.format("from two import shared"), one, two)[0]
    assert "three" in find(text.format("from three import shared"), one, package)[0]


def test_a_comment_of_the_language_names_the_piece_where_there_is_one():
    made = document("frobnicate();\n" * 9, "a.rs", "rust")
    other = document("fn frobnicate() {}\r\n", "b.rs", "rust")
    assert texts(ContextFinder().find(made, 0, [other]).pieces) == ("// project/b.rs\nfn frobnicate() {}\n\n",)
    made, other = document("frobnicate\n" * 9, "a.txt", "plaintext"), document("frobnicate", "b.txt", "plaintext")
    assert texts(ContextFinder().find(made, 0, [other]).pieces) == ("frobnicate\n\n",)


def test_far_off_parts_of_the_same_document_go_along_near_ones_do_not():
    far = "def frobnicate(spam):\n    return spam\n\n\n\n\n\n"
    gap = "x = 1\n" * (NEAR_BEFORE + 10)
    use = "frobnicate()\n" * 9 + "|"
    assert any("return spam" in piece for piece in find(far + gap + use))
    assert find(far + "x = 1\n" * 100 + use) == ()


def test_how_much_goes_along_is_bounded():
    others = [document("def one(two, three, four): ...\n" + f"y{n} = 1\n" * 200, f"{n}.py") for n in range(20)]
    pieces = find("one(two, three, four)\n" * 9 + "|", *others)
    assert 1 < len(pieces) <= MOST_PIECES
    assert sum(map(len, pieces)) <= MOST_CHARACTERS + 50 * len(pieces)


def test_the_same_question_has_the_same_answer():
    others = [document(path.read_text(encoding="utf-8"), path.name) for path in SOURCES]
    text = (Path(__file__).parents[3] / "lsp_server" / "completion" / "answer.py").read_text(encoding="utf-8")
    text = text[:3000] + "|" + text[3000:]
    assert find(text, *others) == find(text, *others) != ()


def test_typing_seldom_changes_what_goes_along():
    others = [document(path.read_text(encoding="utf-8"), path.name) for path in SOURCES]
    text = (Path(__file__).parents[3] / "lsp_server" / "completion" / "answer.py").read_text(encoding="utf-8")
    finder, start = ContextFinder(), text.index("    deadline = Deadline(arrived")
    found = []
    for typed in range(200):
        made = document(text[: start + typed] + text[text.index("def speculate") :], version=typed)
        found.append(finder.find(made, start + typed, others).pieces)
    assert found[0] != ()
    changes = sum(earlier != later for earlier, later in pairwise(found))
    assert changes <= 2


@pytest.mark.parametrize(
    ("language", "text", "imports"),
    [
        ("python", '"""From here."""\nimport os\nx = 1\n', "import os\n"),
        ("python", "from a import (\n    b,\n    c,\n)\nx = 1\n", "from a import (\n    b,\n    c,\n)\n"),
        ("python", "if x:\n    from a import b  # why\n", "    from a import b  # why\n"),
        ("python", "x = important\nfrom_here = 1\n", ""),
        ("javascript", "import {\n  a,\n} from 'b';\nlet d;\n", "import {\n  a,\n} from 'b';\n"),
        ("javascript", "const c = require('c');\nlet d;\n", "const c = require('c');\n"),
        ("rust", "use std::io;\nfn f() {}\n", "use std::io;\n"),
        ("c", "#include <a.h>\r\nint x;\r\n", "#include <a.h>\n"),
    ],
)
def test_imports(language, text, imports):
    assert imports_of(document(text, language=language), len(text)) == imports


def test_imports_are_those_above_the_cursor_near_the_beginning():
    assert imports_of(document("import os\n" * 3), 12) == "import os\n"
    assert imports_of(document("\n" * 300 + "import os\nx"), 311) == ""
