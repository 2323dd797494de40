"""Which files are not worth learning from: tables, generated, minified and vendored files, test data.

They only look like code, or belong to somebody else. A table of codecs alone would take a tenth of the vocabulary.
"""

import re

VENDORED_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "vendor", "_vendor", "vendored", "_vendored", "externals", "extern", "_extern"}
    | {"third_party", "thirdparty", "ensurepip"}
)
VENDORED_FILES = frozenset({"six.py", "_pep440.py", "decorator.py", "appdirs.py", "_argcomplete.py"})
# Codec tables, the topics of pydoc, translations, migrations that a tool wrote.
TABLE_FOLDERS = frozenset({"encodings", "pydoc_data", "locale", "migrations", "__phello__", "__pycache__"})
TABLE_FILES = re.compile(
    r"(^|/)(_sysconfigdata.*|keyword|token|stringprep|sre_constants|html/entities|idlelib/help.*|bad_?coding.*|"
    r"badsyntax.*|re_tests|fork_wait|tests?/(.*/)?\w*_data|test_unicode_identifiers|tokenize_tests.*)\.py$"
)
TEST_DATA = re.compile(r"(^|/)_?(test|tests|testing)/(.*/)?(data|testdata|test_data|_data|reference)/")

HEAD_CHARS = 1_200
GENERATED = re.compile(
    r"^(#|\"\"\"|''').*(auto-?[ ]?generated|automatically generated|do not (edit|modify))"
    r"|^(# *|\"\"\" *)?(this (file|module|code) (is|was|has been) )?(auto\w*[ -])?generated (by|from|using|with|on)\b"
    r"|^(# *)?do not edit\b",
    re.IGNORECASE | re.MULTILINE,
)
NOTICE = re.compile(r"copyright|licen[sc]e|all rights reserved", re.IGNORECASE)
MIN_CHARS = 200
MAX_DIGIT_SHARE = 0.12  # above this a file is a table of numbers
MAX_MEAN_LINE_CHARS = 100.0
MAX_LINE_CHARS = 2_000
MAX_LITERAL_SHARE = 0.5  # share of the characters in lines that hold only literals

LITERAL_START = tuple("'\"0123456789-+([{")
LITERAL = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|\b\d[\w.]*|\b(?:None|True|False)\b")
WORD = re.compile(r"[^\W\d]")


def why_left_out(path: str, text: str) -> str | None:
    """The reason, in a few words, for leaving out a file with this path and text; None if it is kept."""
    return _by_path(path) or _by_text(text)


def normalised(content: bytes) -> str | None:
    """The text of a file, with `\\n` line ends and without a byte order mark; None if it is not UTF-8."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def without_notice(text: str) -> str:
    """The text without a comment about copyright and licence at its top, because thousands of files say the same."""
    lines = text.split("\n")
    end = next((number for number, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    if not NOTICE.search("\n".join(lines[:end])):
        return text
    return "\n".join(lines[end:])


def _by_path(path: str) -> str | None:
    *folders, name = path.split("/")
    if VENDORED_FOLDERS.intersection(folders) or name in VENDORED_FILES:
        return "vendored"
    if TABLE_FOLDERS.intersection(folders) or TABLE_FILES.search(path):
        return "table"
    if TEST_DATA.search(path):
        return "data of tests"
    return None


def _by_text(text: str) -> str | None:
    if len(text) < MIN_CHARS:
        return "short"
    if GENERATED.search(text[:HEAD_CHARS]):
        return "generated"
    lines = text.split("\n")
    if len(text) > MAX_MEAN_LINE_CHARS * len(lines) or max(map(len, lines)) > MAX_LINE_CHARS:
        return "minified"
    if sum(map(text.count, "0123456789")) > MAX_DIGIT_SHARE * len(text):
        return "table"
    literal = sum(len(line) for line in lines if _is_literal(line))
    return "table" if literal > MAX_LITERAL_SHARE * len(text) else None


def _is_literal(line: str) -> bool:
    stripped = line.strip()
    if not stripped.startswith(LITERAL_START) or stripped.startswith(('"""', "'''")):
        return False
    rest = LITERAL.sub("", stripped)
    return len(rest) < len(stripped) and not WORD.search(rest)
