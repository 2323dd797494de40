"""Whether a line opens a block, and whether its statement is finished. The next line's indentation depends on that."""

import re

from lsp_server.code.scanner import State, code_of
from lsp_server.code.syntax import Syntax

_HEADER = re.compile(r"\s*(?:\}\s*)?(?:(?:else\s+)?(?:if|for|while|foreach|switch)\b.*\)|else|do|try|finally)\s*\Z")
"""Matches a header that a single statement may follow without braces."""
_LABEL = re.compile(r"\s*(?:case\b.*|default\s*|(?:public|private|protected)\s*(?:\w+\s*)?):\s*\Z")
_UNFINISHED = re.compile(r"(?:[-+*/%=&|<^?:,.(\[]|=>)\s*\Z")
_COUNTED = re.compile(r"(?:\+\+|--)\s*\Z")
_YAML_ITEM = re.compile(r"\s*-\s|.*[|>]-?\s*\Z")


def opens_block(line: str, syntax: Syntax) -> bool:
    """Whether the text after ``line`` should be indented deeper. ``line`` begins outside comments and strings."""
    code = code_of(line, syntax)
    if syntax.opens_block(code):
        return True
    if syntax.blocks == "brace":
        return bool(_HEADER.match(code) or _LABEL.match(code))
    return bool(syntax.items and _YAML_ITEM.match(line))


def is_finished(line: str, syntax: Syntax, state: State) -> bool:
    """Whether a statement may end with ``line``. ``state`` is that at its end. A line that opens a block counts as
    finished.

    Open braces do not count, because they usually belong to blocks.
    """
    if any(bracket != "{" for bracket in state.brackets[-1:]) or (syntax.blocks == "indent" and state.brackets):
        return False
    code = code_of(line, syntax)
    if syntax.blocks == "indent":
        return not code.endswith("\\")
    return not _UNFINISHED.search(code) or bool(_COUNTED.search(code)) or bool(_LABEL.match(code))
