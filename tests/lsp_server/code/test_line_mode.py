"""Where a block is completed and where a line. ``

`` is the cursor.
"""

import pytest

from lsp_server.code.line_mode import lines_wanted
from lsp_server.code.scanner import scan
from lsp_server.code.syntax import syntax_of


def wanted(text: str, language: str = "python") -> str:
    prefix, suffix = text.split("|")
    syntax = syntax_of(language)
    return lines_wanted(prefix, suffix, syntax, scan(prefix, syntax))


@pytest.mark.parametrize(
    "text",
    [
        "def f():|",
        "def add(a, b|",
        "def add(a, b|\n\nx = 1\n",
        "def f():\n    |",
        "def f():\n|",
        "def f():\n    |\n\ndef g():\n    pass\n",
        "class A:\n    def f(self):\n        |\n\n    def g(self):\n        pass\n",
        "if x:  # why\n    |\nelse:\n    pass\n",
        'def f():\n    """Say it."""\n    |\n',
        'def f():\n    """Say it.\n\n    At length: yes\n    """\n\n    |\n',
        "def f():\n    r'''Say it.\n    '''\n    |\n",
        "def f():\n    # first this\n    |\n",
        "def f(\n    a,\n):\n    |\n",
        "try:\n    |\nexcept ValueError:\n    pass\n",
        "    total = 0|",
    ],
)
def test_a_block_in_python(text):
    assert wanted(text) == "multi"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = 1\n|",
        "def f():|\n    return 1\n",
        "def f():\n    |\n    return 1\n",
        "def f():\n    x = 1\n    |\n",
        "def f(|):\n",
        "return a |+ b",
        "# def f():|",
        'x = "def f():|',
        'def f():\n    """Say|',
        '"""\ndef f():\n|',
        'x = {"a":\n     |',
        'text = """\nif x:\n"""\n|',
        'text = f("""\n""")\n|',
        "    x = 1|\n        y = 2\n",
    ],
)
def test_a_line_in_python(text):
    assert wanted(text if "|" in text else "|") == "single"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("function f() {\n  |\n}\n", "javascript"),
        ("function f() {|", "typescript"),
        ("int f(void) { // why\n    |\n}\n", "c"),
        ("if (x)\n{\n    |\n}\n", "csharp"),
        ("fn f<'a>(x: &'a str) {\n    |\n}\n", "rust"),
        ("jobs:\n  |", "yaml"),
    ],
)
def test_a_block_in_other_languages(text, language):
    assert wanted(text, language) == "multi"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("function f() {\n  |\n  return 1;\n}\n", "javascript"),
        ("function f() {|}", "javascript"),
        ("/* {\n |", "java"),
        ("f();\n|\n", "go"),
        ("Once upon a time:\n|", "plaintext"),
        ("def f\n  |\nend\n", "ruby"),
        ("Once upon a time {|", "something nobody knows"),
    ],
)
def test_a_line_in_other_languages(text, language):
    assert wanted(text, language) == "single"


def test_a_doc_string_without_a_beginning():
    assert wanted('x\n"""\n|') == "single"
    assert wanted("'''" + "\n" * 200 + "'''\n|") == "single"
