"""Which name a line defines, in languages where a scope defines a name once."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from lsp_server.code.syntax import Definitions, Syntax

_SCRIPT = (
    r"\s*(?:export\s+)?(?:default\s+)?(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?"
    r"(?:(?P<kind>function\*?|class|enum|const|let)\s+(?P<name>[\w$]+)"
    r"|(?:(?:static|async|public|private|protected|override)\s+)*(?P<accessor>(?:get|set)\s+)?"
    r"(?!(?:if|for|while|switch|catch|function|return|with)\b)(?P<method>[\w$]+)\s*\([^;]*\)\s*(?::\s*[^;{]+)?\{)"
)
_PATTERNS: Mapping[Definitions, re.Pattern[str]] = MappingProxyType(
    {
        "python": re.compile(r"\s*(?:async\s+)?(?:def|class)\s+(?P<name>\w+)\s*[(:\[]"),
        "script": re.compile(_SCRIPT),
        "go": re.compile(r"(?:func\s+(?P<accessor>\(\w*\s*\*?[\w\[\]]+\)\s*)?|type\s+)(?P<name>\w+)\b"),
        "rust": re.compile(
            r"\s*(?:pub(?:\([^)]*\))?\s+)?(?:const\s+|async\s+|unsafe\s+)*(?:fn|struct|enum|trait)\s+(?P<name>\w+)\b"
        ),
        "c": re.compile(r"(?:struct\s+)?[A-Za-z_][\w\s*]*?[\s*](?P<name>\w+)\s*\([^;]*\)\s*\{?\s*\Z"),
        "ruby": re.compile(r"\s*def\s+(?P<name>[\w.?!=]+)"),
        "lua": re.compile(r"\s*(?:local\s+)?function\s+(?P<name>[\w.:]+)\s*\("),
        "php": re.compile(r"\s*(?:(?:public|private|protected|static|final|abstract)\s+)*function\s+(?P<name>\w+)"),
        "shell": re.compile(r"\s*(?:function\s+(?P<name>[\w-]+)|(?P<method>[\w-]+)\s*\(\)\s*\{)"),
    }
)
_AGAIN = re.compile(r"@.*(?:overload|setter|getter|deleter|register|dispatch|\.when\b)|#\[cfg|#if|#el|#endif")
"""Matches a line above one of several definitions of a name."""


def defined_in(line: str, syntax: Syntax) -> str | None:
    """The name that a line defines, with what distinguishes it from others of that name; None if it defines none."""
    match = _PATTERNS[syntax.definitions].match(line) if syntax.definitions else None
    if match is None:
        return None
    parts = match.groupdict()
    name = parts.get("name") or parts.get("method")
    if name is None or name == "_" or (parts.get("kind") == "function" and line.rstrip().endswith(";")):
        return None
    return "".join((parts.get("accessor") or "").split()) + " " + name


def may_come_again(above: list[str], syntax: Syntax) -> bool:
    """Whether the lines directly above say that a name may have several definitions."""
    for line in reversed(above):
        code = line.strip()
        if not code:
            continue
        if not code.startswith(("@", "#")) and not code.startswith(syntax.comment or "@"):
            return False
        if _AGAIN.match(code):
            return True
    return False
