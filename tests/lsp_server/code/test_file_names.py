import pytest

from lsp_server.code.file_names import language_of
from lsp_server.code.syntax import Syntax, syntax_of


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("a.py", "python"),
        ("folder.ts/b.PYI", "python"),
        ("app.test.ts", "typescript"),
        ("View.tsx", "typescriptreact"),
        ("main.go", "go"),
        ("README", None),
        (".py", None),
        ("a.unknown", None),
        ("", None),
    ],
)
def test_the_language_of_a_file(name, language):
    assert language_of(name) == language


@pytest.mark.parametrize(
    "name", ["a.py", "a.js", "a.ts", "a.tsx", "a.go", "a.rs", "a.lua", "a.rb", "a.sh", "a.css", "a.c"]
)
def test_it_is_one_whose_syntax_is_known(name):
    assert syntax_of(language_of(name) or "") != Syntax()
