"""Lines are indented as in the rest of the file: with tabs, or with its own number of spaces."""

from collections import Counter
from itertools import chain, pairwise

from lsp_server.code.blocks import is_finished, opens_block
from lsp_server.code.scanner import code_of
from lsp_server.code.syntax import Syntax, indentation, width
from lsp_server.filters.draft import Draft

SAMPLED_CHARACTERS = 10_000
"""Characters on each side of the cursor that are examined to see how a file indents."""
ENOUGH_BLOCKS = 16
WIDEST_STEP = 8
LOOKED_BACK_LINES = 200
_OPERATORS = tuple(".?:+-*/%&|=<>,)]}")


def in_own_style(draft: Draft) -> str:
    """Give each block in the text the file's indentation, and the first line the indentation of its place.

    After the first line, only a line that follows the opening of a block is moved, together with the rest of that
    block. Lines that are aligned with something keep their alignment.
    """
    first, *others = draft.text.split("\n")
    if draft.state.inside is not None or (not others and draft.line_start.strip()):
        return draft.text
    step = step_of(draft.prefix[-SAMPLED_CHARACTERS:], draft.suffix[:SAMPLED_CHARACTERS], draft.syntax)
    theirs, ours = _first_line(draft, first, step)
    if not draft.line_start.strip():
        # Indentation that is on the line already stays, and the text adds the rest.
        first = ours[len(draft.line_start) :] + first.lstrip(" \t")
    blocks, opener = [(theirs, ours)], code_of(draft.line_start + first, draft.syntax)
    moved = [first]
    for line in others:
        if not line.strip():
            moved.append(line)
            continue
        own, opens = indentation(line), draft.syntax.opens_block(opener)
        while len(blocks) > 1 and len(own) < len(blocks[-1][0]):
            blocks.pop()
        theirs, ours = blocks[-1]
        if step is not None and opens and own and not theirs.startswith(own):
            ours = ours + step
            blocks.append((own, ours))
        elif own.startswith(theirs):
            ours += own[len(theirs) :]
        else:
            ours = own
        moved.append(ours + line[len(own) :])
        opener = code_of(line, draft.syntax)
    return "\n".join(moved)


def step_of(above: str, below: str, syntax: Syntax) -> str | None:
    """One level of indentation in the text around a place: a tab, or a number of spaces; None if no block shows it. The
    nearest blocks count, first those ``above``.
    """
    steps: Counter[str] = Counter()
    lines = [line for line in above.split("\n") if line.strip()]
    following = [line for line in below.split("\n") if line.strip()]
    for opener, line in chain(reversed(list(pairwise(lines))), pairwise([*lines[-1:], *following])):
        outer, inner = indentation(opener), indentation(line)
        if len(inner) > len(outer) and inner.startswith(outer) and syntax.opens_block(code_of(opener, syntax)):
            steps[inner[len(outer) :]] += 1
            if steps.total() == ENOUGH_BLOCKS:
                break
    usual = next((step for step, _ in steps.most_common() if step == "\t" or set(step) == {" "}), None)
    return usual if usual is not None and len(usual) <= WIDEST_STEP else None


def _first_line(draft: Draft, first: str, step: str | None) -> tuple[str, str]:
    """The indentation of the first line: in the text's style and in the file's style."""
    theirs = indentation(draft.line_start + first)
    if draft.line_start.strip() or not first.strip():
        return theirs, theirs
    lines = [line for line in draft.prefix.split("\n")[-LOOKED_BACK_LINES:-1] if line.strip()]
    if not lines:  # nothing above: there is no block that it could be in
        return theirs, draft.line_start if not draft.prefix.strip() else theirs
    above = lines[-1]
    code = next((line for line in reversed(lines) if code_of(line, draft.syntax)), above)
    if step is not None and opens_block(code, draft.syntax):
        wanted = indentation(code) + step
        if draft.syntax.opens_block(code_of(code, draft.syntax)) and len(theirs) <= len(indentation(code)):
            return theirs, theirs
        return theirs, wanted if wanted.startswith(draft.line_start) else theirs
    own = _in_units(theirs, step)
    if draft.syntax.blocks == "none" or opens_block(code, draft.syntax) or _goes_on(draft, above, first):
        return theirs, own if own.startswith(draft.line_start) else theirs
    levels = _levels(lines) if draft.syntax.blocks == "indent" else [indentation(above)]
    limit = next((level for level in levels if width(level) <= width(own)), levels[-1])
    if draft.syntax.blocks == "brace" and width(own) <= width(levels[0]):
        limit = own
    return theirs, limit if limit.startswith(draft.line_start) else draft.line_start


def _goes_on(draft: Draft, above: str, first: str) -> bool:
    """Whether the first line continues a statement of the line above."""
    if not is_finished(above, draft.syntax, draft.state):
        return True
    return draft.syntax.blocks == "brace" and not above.rstrip().endswith(";") and first.lstrip()[:1] in _OPERATORS


def _in_units(own: str, step: str | None) -> str:
    """The indentation with tabs if the file uses tabs, and without tabs if it does not."""
    if step == "\t" and own and set(own) == {" "}:
        size = next(size for size in (4, 2, 1) if len(own) % size == 0)
        return "\t" * (len(own) // size)
    return own.replace("\t", step) if step is not None and step != "\t" else own


def _levels(lines: list[str]) -> list[str]:
    """The indentation of the last line and of all blocks around it, deepest first."""
    levels = [indentation(lines[-1])]
    for line in reversed(lines):
        if width(line) < width(levels[-1]):
            levels.append(indentation(line))
    return levels
