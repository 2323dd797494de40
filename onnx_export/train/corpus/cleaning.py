"""Which files are not worth learning from: tables, generated, minified and vendored files, test data.

They only look like code, or belong to somebody else. A table of codecs alone would take a tenth of the vocabulary.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from onnx_export.train.corpus.languages import MARKUP, PYTHON, language_of, leading_comments

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

# The same in other languages than Python.
OTHER_VENDORED = VENDORED_FOLDERS | {"node_modules", "bower_components", "third-party", "3rdparty", "external", "deps"}
# What tools wrote from the sources: bundles, older dialects, minified copies.
BUILT_LANGUAGES = frozenset({"javascript", "typescript", "css", "html"})
BUILT_FOLDERS = frozenset(
    {"dist", "build", "bundle", "bundles", "umd", "cjs", "esm", "esm5", "esm2015", "es", "es5", "es6", "_cjs", "_esm"}
    | {"fesm2015", "fesm2020", "fesm2022", "commonjs", "_types", "compiled", "generated", "__generated__", "min"}
)
BUILT_FILES = re.compile(r"[.-](min|bundle|bundled|umd|prod|development|production)\.\w+$|\.d\.[cm]?ts$")
BUILT_TEXT = re.compile(
    r"Object\.defineProperty\(exports, ['\"]__esModule|^//# sourceMappingURL=|__webpack_require__|_interopRequire|"
    r"__importDefault\(|^/\*\*\*\*\*\*/",
    re.MULTILINE,
)
OTHER_TABLE_FOLDERS = frozenset({"locale", "locales", "i18n", "translations", "unicode-data"})
OTHER_TABLE_FILES = re.compile(r"(^|/)(unicode_?tables?|tables|charset\w*|entities)\.\w+$")
OTHER_TEST_DATA = re.compile(
    r"(^|/)(testdata|test-data|test_data|fixtures?|__fixtures__|__snapshots__|snapshots|golden)/"
)
LISTS = re.compile(
    r"(^|/)(CHANGE(S|LOG)?|HISTORY|RELEASE[-_ ]?NOTES|NEWS|AUTHORS|CONTRIBUTORS|THANKS|LICEN[CS]ES?|COPYING|NOTICE|"
    r"THIRD[-_]?PARTY[\w-]*|CODE_OF_CONDUCT)[^/]*\.(md|html?)$",
    re.IGNORECASE,
)

HEAD_CHARS = 1_200
GENERATED = re.compile(
    r"^(#|\"\"\"|''').*(auto-?[ ]?generated|automatically generated|do not (edit|modify))"
    r"|^(# *|\"\"\" *)?(this (file|module|code) (is|was|has been) )?(auto\w*[ -])?generated (by|from|using|with|on)\b"
    r"|^(# *)?do not edit\b",
    re.IGNORECASE | re.MULTILINE,
)
OTHER_GENERATED = re.compile(
    r"^\s*(//|/\*|\*|\#|<!--)+!?\s*((code|this (file|module|code) (is|was|has been)|\S+) )?((auto\w*|machine)[ -]?)?"
    r"generated (by|from|using|with|on|automatically|file|code)\b"
    r"|^\s*(//|/\*|\*|\#|<!--).*(@generated\b|\bdo not (edit|modify)\b|auto-?[ ]?generated|automatically generated)",
    re.IGNORECASE | re.MULTILINE,
)
NOTICE = re.compile(r"copyright|licen[sc]e|all rights reserved", re.IGNORECASE)
MIN_CHARS = 200
MAX_DIGIT_SHARE = 0.12  # above this a file is a table of numbers
MAX_CHARS = 1_000_000
MAX_MEAN_LINE_CHARS = 100.0
MAX_LINE_CHARS = 2_000
# People write a paragraph of Markdown, and an element of HTML, in one line.
MARKUP_MEAN_LINE_CHARS: Mapping[str, float] = MappingProxyType({"markdown": 400.0, "html": 160.0})
MAX_LITERAL_SHARE = 0.5  # share of the characters in lines that hold only literals

LITERAL_START = tuple("'\"0123456789-+([{")
LITERAL = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|\b\d[\w.]*|\b(?:None|True|False)\b")
WORD = re.compile(r"[^\W\d]")


def why_left_out(path: str, text: str) -> str | None:
    """The reason, in a few words, for leaving out a file with this path and text; None if it is kept."""
    language = language_of(path) or PYTHON
    return _by_path(path, language) or _by_text(text, language)


def normalised(content: bytes) -> str | None:
    """The text of a file, with `\\n` line ends and without a byte order mark; None if it is not UTF-8."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def without_notice(text: str, language: str = PYTHON) -> str:
    """The text without the comments about copyright and licence at its top, because thousands of files say the same.

    In Python all comments at the top go, in other languages those up to the last that speaks of it.
    """
    if language != PYTHON:
        comments = leading_comments(text, language)
        last = max((number for number, comment in enumerate(comments) if NOTICE.search(comment)), default=-1)
        return text[sum(map(len, comments[: last + 1])) :]
    lines = text.split("\n")
    end = next((number for number, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    if not NOTICE.search("\n".join(lines[:end])):
        return text
    return "\n".join(lines[end:])


def _by_path(path: str, language: str) -> str | None:
    *folders, name = path.split("/")
    if language != PYTHON:
        return _other_by_path(path, language)
    if VENDORED_FOLDERS.intersection(folders) or name in VENDORED_FILES:
        return "vendored"
    if TABLE_FOLDERS.intersection(folders) or TABLE_FILES.search(path):
        return "table"
    if TEST_DATA.search(path):
        return "data of tests"
    return None


def _other_by_path(path: str, language: str) -> str | None:
    folders = path.split("/")[1:-1]  # the first is the package's name
    if OTHER_VENDORED.intersection(folders):
        return "vendored"
    if language in BUILT_LANGUAGES and (BUILT_FOLDERS.intersection(folders) or BUILT_FILES.search(path)):
        return "built"
    if OTHER_TABLE_FOLDERS.intersection(folders) or OTHER_TABLE_FILES.search(path):
        return "table"
    if OTHER_TEST_DATA.search(path) or TEST_DATA.search(path):
        return "data of tests"
    return "list of changes, people or licences" if LISTS.search(path) else None


def _by_text(text: str, language: str) -> str | None:
    if len(text) < MIN_CHARS:
        return "short"
    if len(text) > MAX_CHARS:
        return "large"
    if (GENERATED if language == PYTHON else OTHER_GENERATED).search(text[:HEAD_CHARS]):
        return "generated"
    if language in BUILT_LANGUAGES and BUILT_TEXT.search(text):
        return "built"
    lines = text.split("\n")
    mean = MARKUP_MEAN_LINE_CHARS.get(language, MAX_MEAN_LINE_CHARS)
    longest = max(map(len, lines))
    if len(text) > mean * len(lines) or longest > MAX_LINE_CHARS * (2 if language in MARKUP else 1):
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
