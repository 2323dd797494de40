"""What holds for every text at every place."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lsp_server.code.scanner import scan
from lsp_server.code.syntax import syntax_of
from lsp_server.filters import FILTERS, Draft, shown
from lsp_server.filters.indentation import in_own_style

code = st.lists(
    st.sampled_from(
        ["a", "if x:", "{", "}", "(", ")", '"', "'", "[", "]", " ", "    ", "\t", "\n", "name", "#", "\\", "é😀"]
    ),
    max_size=14,
).map("".join)
languages = st.sampled_from(["python", "javascript", "c", "plaintext"])


def draft(text: str, prefix: str, suffix: str, language: str) -> Draft:
    syntax = syntax_of(language)
    return Draft(text, prefix, suffix, syntax, scan(prefix, syntax))


@pytest.mark.parametrize("apply", [f for f in FILTERS if f is not in_own_style], ids=lambda f: f.__name__)
@given(code, code, code, languages)
@example("a", "(", "))", "python")
def test_a_filter_leaves_a_beginning(apply, text, prefix, suffix, language):
    assert text.startswith(apply(draft(text, prefix, suffix, language)))


@given(code, code, code, languages)
def test_indentation_is_all_that_its_filter_changes(text, prefix, suffix, language):
    before, after = text.split("\n"), in_own_style(draft(text, prefix, suffix, language)).split("\n")
    assert [line.lstrip(" \t") for line in after] == [line.lstrip(" \t") for line in before]


@given(code, code, code, languages)
def test_what_is_shown_shows_something_and_fits_again(text, prefix, suffix, language):
    made = draft(text, prefix, suffix, language)
    left = shown(made)
    assert left == "" or left.strip()
    assert "".join(left.split()) in "".join(text.split())
