"""What leaves this machine: a window around the cursor, and what the model needs to complete it.

``docs/team.md`` has the table. A test checks that nothing else is sent.
"""

import hashlib
import secrets
from dataclasses import replace

from engine import CompletionRequest, end_window
from lsp_server.team.protocol import Bounds

PREFIX_CHARACTERS = 16_000
SUFFIX_CHARACTERS = 4_000
_SALT = secrets.token_bytes(16)
"""The key differs in every process. A session says nothing about a document, and the next process sends another one."""


def outgoing(request: CompletionRequest, *, sends_path: bool) -> CompletionRequest:
    """The request as it is sent. Values that concern only this machine (its speed, its memory) are removed."""
    # If the text began nearer to the cursor with every new line, the service would read all of it anew each time.
    prefix, suffix = end_window(request.prefix, PREFIX_CHARACTERS), request.suffix
    bounds = Bounds()
    budget_ms = bounds.budget_ms if request.budget_ms is None else request.budget_ms
    return replace(
        request,
        budget_ms=min(max(budget_ms, 1.0), bounds.budget_ms),
        max_completions=min(request.max_completions, bounds.candidates),
        stop=replace(request.stop, max_new_tokens=min(request.stop.max_new_tokens, bounds.max_new_tokens)),
        prefix=prefix,
        suffix=suffix[:SUFFIX_CHARACTERS],
        path=request.path if sends_path else "",
        repository=request.repository if sends_path else "",
        extra_context=tuple(
            piece if sends_path else replace(piece, path="", heading="") for piece in request.extra_context
        ),
        reading_ms=None,
        context_tokens=None,
        speculation="off",
    )


def session_of(request: CompletionRequest) -> str:
    """An identifier that is the same for every request in one document of this process. Others cannot get the name from
    it.
    """
    name = f"{request.repository}\0{request.path}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name, key=_SALT, digest_size=16).hexdigest()
