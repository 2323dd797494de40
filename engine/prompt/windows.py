"""Which part of a document the model reads: windows of text and of tokens whose starts move in jumps.

The key/value cache survives a keystroke only if the prompt before the cursor still begins with the same token. A
window of fixed length would move its start with every character typed; these stay where they are until the cursor has
gone on by a whole step, and then jump.
"""

from collections.abc import Iterable

from engine.prompt.fim import PromptParts
from engine.types import TokenIds

CHARACTERS_PER_TOKEN = 8
"""More than vocabularies reach on code (about 4, superwords 6): text beyond this many is never even tokenised."""
SUFFIX_SHARE = 0.25
"""Part of the token budget that the text after the cursor may take, as far as the text before it needs the rest."""
EXTRA_SHARE = 0.25
"""Part of the token budget that pieces from elsewhere may take, as far as the document needs the rest."""
IMPORTS_SHARE = 0.1
"""Part of the token budget that the document's imports may take where they are brought back."""
NAMES_SHARE = 0.1
"""Part of the token budget that the names of file and repository may take; longer ones are left out."""
JUMP_SHARE = 0.25
"""A window start jumps by this part of the window."""


def prefix_window(prefix: str, budget_tokens: int) -> str:
    """The end of ``prefix`` that may be worth tokenising, from a line start where one is near."""
    limit = budget_tokens * CHARACTERS_PER_TOKEN
    if len(prefix) <= limit:
        return prefix
    jump = max(1, int(limit * JUMP_SHARE))
    start = -(-(len(prefix) - limit) // jump) * jump
    line = prefix.find("\n", start, start + jump)
    return prefix[start if line < 0 else line + 1 :]


def suffix_window(suffix: str, budget_tokens: int) -> str:
    """The start of ``suffix`` that may be worth tokenising."""
    return suffix[: int(budget_tokens * SUFFIX_SHARE) * CHARACTERS_PER_TOKEN]


def room_for_extra(parts: PromptParts, budget_tokens: int) -> int:
    """Tokens that pieces from elsewhere may take beside a document: their share, or what it leaves, in whole jumps."""
    jump = max(1, int(budget_tokens * JUMP_SHARE))
    document = len(parts.context) + len(parts.tail) + len(parts.suffix)
    return max(int(budget_tokens * EXTRA_SHARE), (budget_tokens - document) // jump * jump)


def pieces_that_fit(pieces: Iterable[TokenIds], room_tokens: int) -> TokenIds:
    """The first of ``pieces``, whole ones only, that together have room; those that are too long are passed over."""
    taken: TokenIds = ()
    for piece in pieces:
        if len(taken) + len(piece) <= room_tokens:
            taken += piece
    return taken


def fit(parts: PromptParts, budget_tokens: int) -> PromptParts:
    """Cut ``parts`` to at most ``budget_tokens`` tokens (at least one): the suffix from its end, then the context and,
    only where nothing else is left, the tail from their starts. The context loses whole jumps.
    """
    assert budget_tokens >= 1
    jump = max(1, int(budget_tokens * JUMP_SHARE))
    tail = parts.tail[-budget_tokens:]
    # What the text before the cursor leaves over, in jumps as well: the suffix comes first in some templates.
    spare = max(0, budget_tokens - len(tail) - len(parts.context)) // jump * jump
    suffix = parts.suffix[: min(max(spare, int(budget_tokens * SUFFIX_SHARE)), budget_tokens - len(tail))]
    excess = len(parts.context) + len(tail) + len(suffix) - budget_tokens
    drop = min(-(-excess // jump) * jump, len(parts.context)) if excess > 0 else 0
    return PromptParts(parts.context[drop:], tail, suffix)
