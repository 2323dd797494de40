"""Completions that introduce a syntax error are not shown."""

import re
import time
from dataclasses import replace

from lsp_server.code.blocks import opens_block
from lsp_server.code.parsing import Window, known, parses, window_at
from lsp_server.code.scanner import Scanner
from lsp_server.code.syntax import BRACKETS, indentation
from lsp_server.filters.draft import Draft

LIMIT_S = 0.002
"""Limit on processor time. When it is over, a text that was not found to be wrong is shown."""
MOST_LINES = 12
"""So many first lines of a text are tried as its end."""
_LINE_END = re.compile(r"(?<=\S)[^\S\n]*\n")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_HEADER = re.compile(r"\s*(?:async\s+)?(?:if|elif|else|for|while|with|def|class|try|except|finally|match|case)\b")
_WITH_SEMICOLONS = ("rust", "java", "css")
_IMPORT = re.compile(r"\s*(?:from|import)\b")


def without_errors(draft: Draft) -> str:
    """Cut the text to a beginning that parses; nothing if no beginning does. Only if the code around the cursor parses
    without it.

    If the code does not parse only because the line is unfinished, the text must just be the beginning of a line that
    would, or it is cut to its lines that are right. The last line of a text that was broken off must be the beginning
    of one that would be right; if not, it is judged as it stands.
    """
    grammar = draft.syntax.grammar
    if draft.state.inside is not None or not known(grammar):
        return draft.text
    if draft.broken_off and not draft.line_rest.strip():
        above, newline, _ = draft.text.rpartition("\n")
        left = without_errors(replace(draft, text=above, broken_off=False)) if newline else ""
        if left != above:
            return left
        if _may_be_closed(draft):
            return draft.text
    end = time.thread_time() + LIMIT_S
    window = window_at(draft.prefix, draft.suffix)
    if parses(window.prefix + window.suffix, grammar):
        return _longest(draft, window)
    if not parses(_without_line(draft, window), grammar) or _may_go_on(draft, window, draft.text, end):
        return draft.text
    if lines := _good_lines(draft, window):
        return lines
    # If the line was wrong before, the text is not to blame.
    return "" if _may_go_on(draft, window, "", time.thread_time() + LIMIT_S) else draft.text


def _longest(draft: Draft, window: Window) -> str:
    """The text or the longest beginning that was found to parse: one or two tokens shorter, whole lines, half of the
    tokens, a quarter, or the first two.
    """
    ends = [match.end() for match in _TOKEN.finditer(draft.text)]
    counts = (len(ends) - 1, len(ends) - 2, len(ends) // 2, len(ends) // 4, 2, 1)
    shorter = {ends[count - 1] for count in counts if 0 < count < len(ends)}.union(_line_ends(draft.text))
    tried = (len(draft.text), *sorted(shorter, reverse=True))
    return next((draft.text[:at] for at in tried if _fits(draft, window, draft.text[:at])), "")


def _good_lines(draft: Draft, window: Window) -> str:
    """The first lines of a text of several that parse, or the first one if it may go on; empty if there are none."""
    beginnings = [draft.text[:at] for at in _line_ends(draft.text)]
    if lines := next((text for text in beginnings if _fits(draft, window, text)), ""):
        return lines
    first = beginnings[-1] if beginnings else ""
    return first if first and _may_go_on(draft, window, first, time.thread_time() + LIMIT_S) else ""


def _line_ends(text: str) -> list[int]:
    """Where the first lines of a text of several end, the last of them first. Lines of white space are left out."""
    ends = [match.start() for match in _LINE_END.finditer(text)]
    return ends[:MOST_LINES][::-1]


def _fits(draft: Draft, window: Window, text: str) -> bool:
    return parses(window.prefix + text + _body(draft, text) + window.suffix, draft.syntax.grammar)


def _may_go_on(draft: Draft, window: Window, text: str, end: float) -> bool:
    """Whether some continuation of the text's last line makes everything parse."""
    if _fits(draft, window, text):
        return True
    return any(time.thread_time() > end or _fits(draft, window, text + more) for more in _fillers(draft, text))


def _may_be_closed(draft: Draft) -> bool:
    """Whether some continuation that closes what the text has opened makes everything parse."""
    scanner = Scanner(draft.syntax, draft.state)
    closed = sum(1 for _ in scanner.closings(draft.text))
    if scanner.state.inside is not None:
        return True  # in a string or a comment anything may follow
    own = scanner.state.brackets[max(0, len(draft.state.brackets) - closed) :]
    closers = "".join(BRACKETS[opener] for opener in reversed(own))
    end, window = time.thread_time() + LIMIT_S, window_at(draft.prefix, draft.suffix)
    if _may_go_on(draft, window, draft.text, end):
        return True
    fillers = ("", *_fillers(draft, draft.text)) if closers else ()
    return any(
        time.thread_time() > end or _fits(draft, window, draft.text + more + closers + after)
        for more in fillers
        for after in ("", ":")
    )


def _body(draft: Draft, text: str) -> str:
    """The body that a header at the end of the text needs."""
    line = (draft.line_start + text).rpartition("\n")[2]
    if draft.line_rest.strip():
        return ""
    if not opens_block(line, draft.syntax):
        return ";" if draft.syntax.grammar in _WITH_SEMICOLONS and not line.rstrip().endswith((";", "}", ",")) else ""
    if draft.syntax.blocks == "indent":
        body = "\n" + indentation(line) + "    pass"
        return body + "\n" + indentation(line) + "finally: pass" if line.split("#")[0].strip() == "try:" else body
    return " }" if line.rstrip().endswith("{") else " ;"


def _fillers(draft: Draft, text: str) -> tuple[str, ...]:
    line = (draft.line_start + text).rpartition("\n")[2]
    if draft.line_rest.strip():
        return (" x", ", x")
    if draft.syntax.grammar != "python":
        return (" x", " {}", " x {}", "() {}", " = x", ": x", " {", " x) {}")
    if _HEADER.match(line):
        return (":", " x:", " in x:", "():", "x):", " else x:", " x():")
    return (" import x", " x") if _IMPORT.match(line) else (" x", " else x", ": x", "x)")


def _without_line(draft: Draft, window: Window) -> str:
    """The window with an empty statement in place of the cursor's line."""
    above, below = window.prefix.rpartition("\n")[0], window.suffix.partition("\n")[2]
    nothing = "pass" if draft.syntax.grammar == "python" else ";" if draft.syntax.blocks == "brace" else ""
    own = indentation(draft.line_start) if draft.line_start.strip() else indentation(draft.line_start + draft.text)
    return f"{above}\n{own}{nothing}\n{below}"
