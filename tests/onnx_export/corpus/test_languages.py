import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_export.train.corpus.languages import LANGUAGES, language_of, leading_comments


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b.py", "python"),
        ("a.TSX", "typescript"),
        ("a.mjs", "javascript"),
        ("a.h", "c"),
        ("a.hpp", "c++"),
        ("a.go", "go"),
        ("a.rs", "rust"),
        ("a.htm", "html"),
        ("a.scss", "css"),
        ("a.bats", "shell"),
        ("README.md", "markdown"),
        ("Makefile", None),
        ("a.py/b", None),
    ],
)
def test_by_file_name(path: str, language: str | None):
    assert language_of(path) == language


@pytest.mark.parametrize(
    ("language", "text", "comments"),
    [
        ("c", "/* a */\n\n// b\n// c\nint x;", ["/* a */\n\n", "// b\n// c\n"]),
        ("go", "// a\n// b\n\n// Package x\npackage x", ["// a\n// b\n", "\n// Package x\n"]),
        ("html", "<!-- a\n-->\n<p>", ["<!-- a\n-->\n"]),
        ("shell", "#!/bin/sh\n# a\nset -e\n# b\n", ["#!/bin/sh\n# a\n"]),
        ("rust", "/* never closed", []),
        ("rust", "// to the end", ["// to the end"]),
        ("c", "", []),
    ],
)
def test_comments_at_the_top(language: str, text: str, comments: list[str]):
    assert leading_comments(text, language) == comments


@given(st.sampled_from(LANGUAGES), st.text("/*\n #<!->a", max_size=40))
def test_comments_are_the_beginning_of_the_text(language: str, text: str):
    assert text.startswith("".join(leading_comments(text, language)))
