"""Properties for every text at every place."""

import math
import re
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lsp_server.code.references import names_in
from lsp_server.code.scanner import Scanner, scan
from lsp_server.code.syntax import indentation, syntax_of, width
from lsp_server.filters import FILTERS, Draft, shown
from lsp_server.filters.definitions import without_second_definitions
from lsp_server.filters.indentation import in_own_style
from lsp_server.filters.loops import without_loops
from lsp_server.filters.names import LEAST, without_unknown_names
from lsp_server.filters.openers import without_dangling_openers
from lsp_server.filters.word import within_a_known_word

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


PLACES = {
    "python": ["", "def g(a, b):\n    ", "x = ", "def g(a):\n    x =", "if a", "f(", "def g(a):\n    if a:\n        "],
    "go": ["", "func g(a int) {\n\t", "func g(a int) {\n\tx := ", "func g() {\n\tif a", "func g() {\n\tf("],
    "typescript": ["", "function g(a) {\n    ", "const x = ", "function g(a) {\n    x =", "if (a", "f("],
}
LINES = {
    "python": [
        "f(a)",
        "return a",
        "if a:",
        "    f(b)",
        "a = = b",
        "f(a b",
        "def f():",
        "",
        "x = [",
        "'",
        "# note",
        "b)",
    ],
    "go": [
        "f(a)",
        "return a",
        "if a {",
        "\tf(b)",
        "a = = b",
        "f(a b",
        "}",
        "func f() {",
        "",
        "{",
        '"',
        "// note",
        "b)",
    ],
    "typescript": ["f(a);", "return a;", "if (a) {", "a = = b;", "f(a b", "}", "x = [", "", "'", "// note", "b)"],
}
AFTER = {"python": "    return x", "go": "\treturn x\n}", "typescript": "    return x;\n}"}


@st.composite
def texts_of_lines(draw):
    """The language, the text before the cursor, the lines of the completion, and the text after the cursor."""
    language = draw(st.sampled_from(list(PLACES)))
    lines = st.lists(st.sampled_from(LINES[language]), min_size=2, max_size=5).filter(lambda lines: lines[0])
    suffix = st.sampled_from(["", f"\n{AFTER[language]}\n"])
    return language, draw(st.sampled_from(PLACES[language])), draw(lines), draw(suffix)


@given(place=texts_of_lines(), several_lines=st.booleans())
@example(
    place=("python", "def g(a):\n    x =", [" f(a)", "a = = b", "f(a b", "b)"], "\n    return x\n"), several_lines=True
)
@example(place=("python", "f(", ["a", "b = = c"], ""), several_lines=False)
@example(place=("typescript", "function g(a) {\n    ", ["x = f(a, b);", "f(a b", "c d"], "\n}\n"), several_lines=True)
@example(place=("go", "func g(a int) {\n\t", ["x := f(a, b)", "f(a b", "f(a b"], "\n}\n"), several_lines=True)
def test_a_good_first_line_is_not_lost_with_what_follows_it(place, several_lines):
    language, prefix, lines, suffix = place
    margin = indentation(prefix.rpartition("\n")[2])
    text = f"\n{margin}".join(lines)
    left, alone = (
        shown(replace(draft(each, prefix, suffix, language), several_lines=several_lines)) for each in (text, lines[0])
    )
    assert alone != lines[0] or left.startswith(alone)


@given(code, code, code, languages)
def test_what_is_shown_shows_something_and_fits_again(text, prefix, suffix, language):
    made = draft(text, prefix, suffix, language)
    left = shown(made)
    assert left == "" or left.strip()
    assert "".join(left.split()) in "".join(text.split())


@given(code, code, code, languages)
@example("f(", "", ")", "python")
@example("{x", 'f"', '"', "python")
def test_what_a_text_opens_is_closed(text, prefix, suffix, language):
    made = draft(text, prefix, suffix, language)
    left = without_dangling_openers(made)
    if not made.syntax.has_pairs or left.endswith("{"):
        return
    after = Scanner(made.syntax, made.state)
    ours = made.state.depth - sum(1 for _ in after.closings(left))
    closed = sum(1 for _ in Scanner(made.syntax, after.state).closings(suffix))
    closed_before = sum(1 for _ in Scanner(made.syntax, made.state).closings(suffix))
    assert not after.opened or after.state.depth - closed <= min(ours, made.state.depth - closed_before)


@given(st.text(alphabet="ab_é ", max_size=5), st.text(alphabet="ab_é", min_size=1, max_size=3), code, languages)
def test_in_a_word_only_a_word_of_the_document_is_made(text, around, document, language):
    prefix, suffix = document + "\n" + around, around + "\n" + document
    left = within_a_known_word(draft(text, prefix, suffix, language))
    assert not left or around + left + around in re.findall(r"\w+", document)


@given(st.sampled_from(["    ", "  ", "\t"]), st.integers(0, 3), st.integers(0, 20), languages)
def test_a_first_line_is_never_deeper_than_a_finished_statement(unit, depth, spaces, language):
    prefix = "".join(unit * at + "a {\n" if language != "python" else unit * at + "if a:\n" for at in range(depth))
    made = draft(" " * spaces + "b();", prefix + unit * depth + "a();\n", "", language)
    own = indentation(in_own_style(made))
    assert made.syntax.blocks == "none" or width(own) <= width(unit * depth)


@given(st.text(alphabet="ab", min_size=2, max_size=4), st.integers(1, 4), st.integers(3, 6), st.booleans())
def test_a_staircase_has_one_step(word, step, rounds, deeper):
    steps = range(rounds) if deeper else reversed(range(rounds))
    text = "\n".join(" " * (step * at) + f"{word}()" for at in steps)
    assert without_loops(draft(text, "", "", "python")) == text.partition("\n")[0]


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6))
def test_a_scope_defines_a_name_once(names):
    text = "\n".join(f"def {name}(self):\n    return 1" for name in names)
    left = without_second_definitions(draft(text, "", "", "python"))
    defined = re.findall(r"def (\w)", left)
    assert (
        len(set(defined)) == len(defined) == next((n for n in range(len(names)) if names[n] in names[:n]), len(names))
    )


words = st.sampled_from(["load", "rows", "len", "nowhere", "self", "path", "x1"])
written = st.lists(st.one_of(words, st.sampled_from([".", "(", ")", " = ", ", ", " + ", "\n", " "])), max_size=12)


@given(written.map("".join), st.lists(st.floats(0.0, 1.0), max_size=6), st.sampled_from(["python", "typescript"]))
@example("nowhere", [0.4], "python")
@example("rows = nowhere + rows", [0.9, 0.5], "typescript")
@example("nowhere = nowhere", [0.0], "python")
def test_a_name_that_is_nowhere_is_one_that_the_model_is_sure_of(text, probabilities, language):
    ends = sorted({round(len(text) * (at + 1) / len(probabilities)) for at in range(len(probabilities))})
    along = tuple(zip(ends, accumulate(math.log(max(p, 1e-9)) for p in probabilities), strict=False))
    made = replace(draft(text, "rows = load(path)\nprint(", "", language), along=along)
    left = without_unknown_names(made)
    assert text.startswith(left)
    found = names_in(left, made.prefix, "", made.syntax, made.state)
    for name in found.used:
        sure = [(end, logprob) for end, logprob in along if end <= name.start][-1:] or [(0, 0.0)]
        upto = next((logprob for end, logprob in along if end >= name.end), along[-1][1] if along else 0.0)
        if name.name in {"nowhere", "x1"} - set(found.defined) and along:
            assert math.exp(upto - sure[0][1]) >= LEAST["unknown"] - 1e-9
    if not re.search(r"nowhere|x1|self|len|path\w|rows\w|load\w", text):
        assert left == text  # all of it is there
