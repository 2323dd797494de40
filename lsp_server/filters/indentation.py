"""Lines are indented as the file does it: with tabs, or with its own number of spaces."""

from collections import Counter
from itertools import pairwise

from lsp_server.code.scanner import code_of
from lsp_server.code.syntax import Syntax, indentation
from lsp_server.filters.draft import Draft

SAMPLED_CHARACTERS = 20_000
"""Text on each side of the cursor that tells how a file indents."""
WIDEST_STEP = 8


def in_own_style(draft: Draft) -> str:
    """Give each block in the text the indentation that the file would give it.

    Only a line that follows one which opens a block is moved, and with it what stands in that block: lines that are
    aligned with something keep the spaces that align them.
    """
    first, *others = draft.text.split("\n")
    if not others and draft.line_start.strip():
        return draft.text
    step = step_of(draft.prefix[-SAMPLED_CHARACTERS:] + draft.suffix[:SAMPLED_CHARACTERS], draft.syntax)
    if step is None:
        return draft.text
    theirs, ours = _first_line(draft, first, step)
    if not draft.line_start.strip():
        # What stands on the line already stays; the text brings the rest of the indentation.
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
        if opens and own and not theirs.startswith(own):
            ours = ours + step
            blocks.append((own, ours))
        elif own.startswith(theirs):
            ours += own[len(theirs) :]
        else:
            ours = own
        moved.append(ours + line[len(own) :])
        opener = code_of(line, draft.syntax)
    return "\n".join(moved)


def step_of(text: str, syntax: Syntax) -> str | None:
    """What one level of indentation is in ``text``: a tab, or a number of spaces; None where nothing tells."""
    steps: Counter[str] = Counter()
    lines = [line for line in text.split("\n") if line.strip()]
    for opener, line in pairwise(lines):
        outer, inner = indentation(opener), indentation(line)
        if inner.startswith(outer) and inner != outer and syntax.opens_block(code_of(opener, syntax)):
            steps[inner[len(outer) :]] += 1
    usual = next((step for step, _ in steps.most_common() if step == "\t" or set(step) == {" "}), None)
    return usual if usual is not None and len(usual) <= WIDEST_STEP else None


def _first_line(draft: Draft, first: str, step: str) -> tuple[str, str]:
    """The indentation of the first line: as the text would have it, and as the file would."""
    theirs = indentation(draft.line_start + first)
    if draft.line_start.strip():
        return theirs, theirs
    above = next((line for line in reversed(draft.prefix.split("\n")[-20:-1]) if line.strip()), "")
    wanted = indentation(above) + step
    opens = draft.syntax.opens_block(code_of(above, draft.syntax))
    if opens and wanted.startswith(draft.line_start) and len(theirs) > len(indentation(above)):
        return theirs, wanted
    return theirs, theirs
