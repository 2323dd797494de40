"""Which brackets, strings and comments are open at a place, against a reader that takes single characters."""

import time
import tokenize
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import Cancelled
from lsp_server.code.scanner import SCANNED_CHARACTERS, Scanner, State, code_of, scan
from lsp_server.code.syntax import BRACKETS, Syntax, syntax_of

PYTHON = syntax_of("python")


def open_at(text: str, language: str = "python") -> tuple[str, str]:
    """The brackets that are open, and the opener of the comment or string."""
    state = scan(text, syntax_of(language))
    return "".join(state.brackets), state.inside.opener if state.inside else ""


@pytest.mark.parametrize(
    ("text", "brackets", "inside"),
    [
        ("", "", ""),
        ("f(a, [1, {", "([{", ""),
        ("f(a)[1]", "", ""),
        ("f(]", "(", ""),
        ("f([)", "", ""),
        ("x = '", "", "'"),
        ("x = 'it\\'s", "", "'"),
        ("x = 'a'", "", ""),
        ("x = 'a\n", "", ""),
        ("x = 'a\\\n", "", "'"),
        ('"""a"b', "", '"""'),
        ('"""a\\"""', "", '"""'),
        ('"""a""" + (', "(", ""),
        ('""', "", ""),
        ("# it's", "", "#"),
        ("# it's\n(", "(", ""),
        ("'#' + (", "(", ""),
        ("f('(", "(", "'"),
    ],
)
def test_python(text, brackets, inside):
    assert open_at(text) == (brackets, inside)


OTHER_LANGUAGES = [
    ("c", "/* ' \n", "", "/*"),
    ("c", "/* ' */ (", "(", ""),
    ("c", "'{' + f(", "(", ""),
    ("javascript", "`a\nb", "", "`"),
    ("rust", "fn f<'a>(", "(", ""),
    ("rust", "// it's", "", "//"),
    ("html", "<!-- it's (\n", "", "<!--"),
    ("html", "it's (", "(", ""),
    ("lua", "--[[ a\n", "", "--[["),
    ("lua", "-- a", "", "--"),
    ("lua", "x = '--' .. f(", "(", ""),
    ("kotlin", '"""a\n"', "", '"""'),
    ("plaintext", "it's # so (", "(", ""),
]
FIELDS_OF_STRINGS = [
    ("python", 'f"a {b', "{", ""),
    ("python", 'f"a {b}', "", 'f"'),
    ("python", 'f"a {{b', "", 'f"'),
    ("python", 'f"a {b(c)!r:>{d', "{{", ""),
    ("python", 'print(f"{a)}")', "", ""),
    ("python", 'print(f"{a"', "(", ""),
    ("python", 'f"{a\n(', "(", ""),
    ("python", 'f"""{a\n(', "{(", ""),
    ("python", "rf'{a['b", "", ""),
    ("python", 'xf"{', "", '"'),
    ("javascript", "`${a(`${b", "{({", ""),
    ("javascript", "`${a}` + `", "", "`"),
    ("javascript", "`\\${a", "", "`"),
    ("swift", '"\\(a', "(", ""),
    ("ruby", '"#{a["b"', "{[", ""),
    ("ruby", "'#{a", "", "'"),
    ("shellscript", 'echo "${a#b}" (', "(", ""),
    ("csharp", '$"{a', "{", ""),
]


@pytest.mark.parametrize(("language", "text", "brackets", "inside"), [*OTHER_LANGUAGES, *FIELDS_OF_STRINGS])
def test_every_language(language, text, brackets, inside):
    assert open_at(text, language) == (brackets, inside)


@given(st.text(alphabet="f\"'{}()\n\\a#", max_size=30), st.text(alphabet="\"'{}()\n\\a#", max_size=30))
def test_a_text_with_fields_may_be_read_in_two_parts(before, after):
    # Only if the cut is not inside an opener or an escape of several characters.
    whole = before + "a" + after
    if before.endswith(("\\", "{", '"', "'")):
        return
    scanner = Scanner(PYTHON, scan(before + "a", PYTHON))
    for _ in scanner.closings(after):
        pass
    assert scanner.state == scan(whole, PYTHON)


def test_a_long_text_is_read_from_a_line_near_its_end():
    line = "x = f(1)  # it's\n"
    text = "'''" + line * (SCANNED_CHARACTERS // len(line) + 10)
    assert open_at(text) == ("", "")
    assert open_at(text[-SCANNED_CHARACTERS // 2 :] + "(") == ("(", "")


def test_closings_are_those_of_what_was_open_before():
    scanner = Scanner(PYTHON, scan("f(g('", PYTHON))
    text = "a') + (b) + ']'), 'c"
    assert [text[c.start : c.end] for c in scanner.closings(text)] == ["'", ")", ")"]
    assert scanner.state == State((), scan("'", PYTHON).inside)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("  if x:  # why", "if x:"),
        ("# why", ""),
        ("x = '#'  # why", "x = '#'"),
        ("x = 'open # ", "x = 'open #"),
        ("", ""),
    ],
)
def test_the_code_of_a_line(line, code):
    assert code_of(line, PYTHON) == code


def slow_state(text: str, syntax: Syntax) -> State:
    """The state after reading one character after the other, exactly by the rules."""
    brackets: list[str] = []
    inside, index = None, 0
    while index < len(text):
        here = text[index]
        if inside is None:
            found = next((d for d in syntax.delimited if text.startswith(d.opener, index)), None)
            if found is not None:
                inside, index = found, index + len(found.opener)
                continue
            if here in BRACKETS:
                brackets.append(here)
            for opener, closer in BRACKETS.items():
                if here == closer and opener in brackets:
                    del brackets[len(brackets) - 1 - brackets[::-1].index(opener) :]
        elif inside.closer and text.startswith(inside.closer, index):
            index, inside = index + len(inside.closer), None
            continue
        elif here == "\n" and not inside.multiline:
            inside = None
        elif here == "\\" and inside.kind == "string":
            index += 1
        index += 1
    return State(tuple(brackets), inside)


@given(
    st.text(alphabet="ab()[]{}\"'#\\\n/*`", max_size=40), st.sampled_from(["python", "c", "javascript", "rust", "sql"])
)
@example("'\\", "python")
@example('"""\\""""', "python")
def test_scanning_is_reading_one_character_after_the_other(text, language):
    assert scan(text, syntax_of(language)) == slow_state(text, syntax_of(language))


def seconds(text: str) -> float:
    """The time of the fastest of several scans."""
    taken = []
    for _ in range(3):
        began = time.thread_time()
        scan(text, PYTHON)
        taken.append(time.thread_time() - began)
    return min(taken)


PATHS = {
    "closers that fit nothing": lambda n: "(" * n + "]" * n,
    "closers far from their openers": lambda n: "(" + "[" * n + ")" + "]" * n,
    "openers of all kinds": lambda n: "([{" * n + ")" * n,
    "strings that stay open": lambda n: "'\n" * n,
    "escapes": lambda n: "'" + "\\" * n,
    "quotes": lambda n: "'\"" * n,
}


@pytest.mark.parametrize("text_of", PATHS.values(), ids=PATHS.keys())
def test_the_time_is_linear_in_the_text(text_of):
    assert seconds(text_of(20_000)) < 8 * 3 * max(seconds(text_of(2_500)), 1e-4)


def test_a_scan_is_called_off():
    looks: list[None] = []

    def checkpoint() -> None:
        looks.append(None)
        if len(looks) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        scan("([{" * 5000, PYTHON, checkpoint)
    assert len(looks) == 3


@given(st.text(alphabet="ab()[]\"'#\n", max_size=30), st.text(alphabet="ab()[]\"'#\n", max_size=30))
def test_a_text_may_be_read_in_two_parts(before, after):
    # Only if the cut is not inside an opener of several characters.
    whole = before + "x" + after
    scanner = Scanner(PYTHON, scan(before + "x", PYTHON))
    for _ in scanner.closings(after):
        pass
    assert scanner.state == scan(whole, PYTHON)


def test_pythons_own_tokenizer_agrees_about_a_file_of_ours():
    text = Path(__file__).read_text(encoding="utf-8")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for token in tokenize.generate_tokens(StringIO(text).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT) and len(token.string) > 8:
            start = starts[token.start[0] - 1] + token.start[1]
            assert scan(text[: start + 5], PYTHON).inside is not None, token
            if token.type == tokenize.STRING:
                assert scan(text[: start + len(token.string)], PYTHON).inside is None, token
