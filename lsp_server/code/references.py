"""The names that a text uses, as opposed to names that it introduces: definitions, parameters, targets, keys.

They are judged line by line. A doubtful name counts as a definition, because new names must be possible.
"""

import re
from dataclasses import dataclass

from lsp_server.code.imports import FROM
from lsp_server.code.scanner import Scanner, State
from lsp_server.code.syntax import Syntax

LOOKED_BACK_CHARACTERS = 2000
"""Characters before the cursor in which we look for the head of a definition whose parameters are being written."""
_WORD = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
_BASE = re.compile(r"([\w$]+(?:\s*\.\s*[\w$]+)*)?\s*\??\.\s*\Z")
_ARGUMENTS = r"\((?:[^()]|\([^()]*\))*\Z"
_QUOTES = ("'", '"')
_PREFIXES = frozenset({"b", "r", "u", "f", "t", "br", "rb", "fr", "rf", "tr", "rt"})

# Python
_INTRODUCED = re.compile(r"(?:\b(?:def|class|as|global|nonlocal|type)|\b(?:for|async for)\b(?:(?!\bin\b).)*)\s+\Z")
_FOR_TARGET = re.compile(r"\bfor\s+(?:(?!\bin\b).)*\Z")
_LAMBDA = re.compile(r"\blambda\b(?:[^:]*,|\s)\s*\*{0,2}\s*\Z")
_PYTHON_HEAD = re.compile(r"\bdef\s+\w+\s*(?:\[[^\]]*\])?\s*" + _ARGUMENTS)
_NEW_PARAMETER = re.compile(r"[(,]\s*\*{0,2}\s*\Z")
_SKIPPED_LINE = re.compile(r"\s*(?:import\b|from\b|case\b)")
_TARGETS = re.compile(r"[\w\s,.*]*\Z")

# JavaScript and TypeScript
_DECLARED = re.compile(
    r"\b(?:let|const|var|function\s*\*?|class|interface|type|enum|namespace|module|as|infer|get|set|static|public|private"
    r"|protected|readonly|override|abstract|declare|async(?=\s+\w+\s*\())\s+\Z|\bcatch\s*\(\s*\Z|#\Z"
)
_PATTERN = re.compile(
    r"\s*(?:export\s+)?(?:const|let|var)\s*[\[{][^=]*\Z|\bfor\s*\(\s*(?:const|let|var)\s*[\[{][^=]*\Z"
)
_SCRIPT_HEAD = re.compile(
    r"(?:\bfunction\b\s*\*?\s*[\w$]*|\bconstructor|\b(?:get|set|async|static)\s+[\w$]+)\s*" + _ARGUMENTS
)
_NEW_SCRIPT_PARAMETER = re.compile(r"[(,{]\s*(?:\.\.\.)?\s*\Z")
_GENERIC = re.compile(r"[A-Z]\d?\Z")
_MODULE_LINE = re.compile(r"\s*(?:import\b|export\s*[*{])")
_ARROW_AFTER = re.compile(r"[^()]*\)\s*(?::[^=()]*)?=>|\s*=>")
_IN_METHOD = re.compile(r"\s*(?!(?:if|for|while|switch|with|return|await)\b)[\w$]+\s*(?:<[^>]*>)?\([^()]*\Z")
_BODY_AFTER = re.compile(r"[^()]*\)[^;]*\{\s*\Z")
_METHOD_AFTER = re.compile(r"\s*(?:<[^>]*>)?\([^;]*\{\s*\Z")


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that is used, from ``start`` to ``end`` of the text (``start`` is negative if it begins before the
    cursor).

    ``base`` is the dotted name before it, empty if another expression is there, and None if the name stands alone. For
    a name that is imported from a module, it is the beginning of the line.
    """

    start: int
    end: int
    name: str
    base: str | None


@dataclass(frozen=True, slots=True)
class Names:
    """What ``text`` uses, in order, and what it defines."""

    used: tuple[Reference, ...]
    defined: frozenset[str]


def names_in(text: str, prefix: str, rest: str, syntax: Syntax, state: State) -> Names:
    """The names in ``text``, which stands between ``prefix`` and ``rest`` (of the line); ``state`` is the cursor's.

    Only Python, JavaScript and languages like JavaScript are supported; in others no names are found.
    """
    line_start = prefix[prefix.rfind("\n") + 1 :]
    code = line_start + _masked(text, syntax, state) + rest
    offset, end = len(line_start), len(line_start) + len(text)
    head = prefix[-LOOKED_BACK_CHARACTERS : len(prefix) - len(line_start)]
    used, defined = [], set()
    for word in _WORD.finditer(code):
        if word.end() <= offset:
            continue
        if word.start() >= end:
            break
        place = _place(code, word, head, len(state.brackets), offset)
        if place.is_string_prefix:
            continue
        source = FROM.match(place.before) if syntax.definitions == "python" else None
        if source is not None and not place.before.rstrip().endswith(" as") and word[0] not in ("as", "import"):
            used.append(Reference(word.start() - offset, word.end() - offset, word[0], source[0]))
            continue
        if _is_new(place, syntax):
            defined.add(word[0])
        else:
            used.append(Reference(word.start() - offset, word.end() - offset, word[0], place.base))
    return Names(tuple(used), frozenset(defined))


@dataclass(frozen=True, slots=True)
class _Place:
    """A word in its line: the text before and after it, how many brackets are open, and what the lines above say."""

    before: str
    word: str
    after: str
    head: str
    depth: int
    base: str | None

    @property
    def is_string_prefix(self) -> bool:
        return self.after[:1] in _QUOTES and self.word.lower() in _PREFIXES

    @property
    def begins(self) -> bool:
        """Whether a statement begins with the word, or with the dotted name that it ends."""
        return not (self.before if self.base is None else _BASE.sub("", self.before)).strip()


def _place(code: str, word: re.Match[str], head: str, depth: int, offset: int) -> _Place:
    start = code.rfind("\n", 0, word.start()) + 1
    before, after = code[start : word.start()], code[word.end() : word.end() + 200]
    written = code[offset : word.start()]
    depth += sum(map(written.count, "([{")) - sum(map(written.count, ")]}"))
    base = _BASE.search(before)
    above = head + code[:start] if start else head
    return _Place(before, word[0], after, above, depth, None if base is None else base[1] or "")


def _is_new(place: _Place, syntax: Syntax) -> bool:
    return _is_new_in_python(place) if syntax.definitions == "python" else _is_new_in_script(place)


def _is_new_in_python(place: _Place) -> bool:
    before, after = place.before, place.after.lstrip(" ")
    is_assigned = after.startswith("=") and not after.startswith("==")
    if _SKIPPED_LINE.match(before):
        return True
    if place.base is not None:
        return place.depth == 0 and place.begins and (is_assigned or after.startswith(":"))
    if place.depth and _PYTHON_HEAD.search(place.head + before):
        return bool(_NEW_PARAMETER.search(before) or not before.strip())
    if is_assigned or after.startswith(":="):
        return True
    if place.word == "in":
        return False
    if _INTRODUCED.search(before) or _FOR_TARGET.search(before) or _LAMBDA.search(before):
        return True
    if place.depth:
        return False
    if place.begins:
        return not after.strip() or after.startswith((":", ",", "\n"))
    line = after.partition("\n")[0]
    return bool(_TARGETS.match(before)) and "," in before and ("=" in line or not line.strip())


def _is_new_in_script(place: _Place) -> bool:
    before, after = place.before, place.after.lstrip(" ")
    if _MODULE_LINE.match(before) or _DECLARED.search(before):
        return True
    is_assigned = after.startswith("=") and not after.startswith(("==", "=>"))
    if place.base is not None:
        return place.begins and is_assigned
    if is_assigned or after.startswith(("=>", ":", "?:")) or _GENERIC.match(place.word):
        return True
    if _PATTERN.search(before) or _ARROW_AFTER.match(after):
        return True
    line = after.partition("\n")[0]
    if _SCRIPT_HEAD.search(place.head + before) or (_IN_METHOD.match(before) and _BODY_AFTER.match(line)):
        return bool(_NEW_SCRIPT_PARAMETER.search(before) or not before.strip())
    if place.begins:
        return not line.strip() or after.startswith((",", "?")) or bool(_METHOD_AFTER.match(line))
    return False


def _masked(text: str, syntax: Syntax, state: State) -> str:
    """The text with quotes in place of all characters of comments and strings."""
    scanner = Scanner(syntax, state)
    for _ in scanner.closings(text):
        pass
    for start, end in scanner.quoted:
        text = text[:start] + re.sub(r"[^\n]", '"', text[start:end]) + text[end:]
    return text
