"""Which pieces of other documents, and of distant parts of the same one, the model sees besides the code around the
cursor.

If this text changed with every keystroke, the model's cache would be lost with every keystroke. So the lines around the
cursor are taken in steps of some lines, without the line that is being typed. And pieces with similar scores keep their
order.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from engine import Snippet
from lsp_server.code.syntax import syntax_of
from lsp_server.context.relevance import Ranked, RelevanceIndex, identifiers
from lsp_server.documents.documents import Document
from lsp_server.documents.line_endings import to_engine
from lsp_server.files.excluded import path_of
from lsp_server.files.repositories import name_in, named_file

STEP_LINES = 8
LINES_ABOVE, LINES_BELOW = 40, 8
"""Lines around the cursor whose identifiers count."""
NEAR_BEFORE, NEAR_AFTER = 400, 100
"""Lines of the same document that may be in the context window anyway."""
LEAST_SCORE = 3.0
MOST_PIECES = 8
MOST_CHARACTERS = 6000
IMPORTED = 2.0
"""Factor on the score of documents that the file imports."""
_COARSE = 2.0
_IMPORT_LINES = 200
_IMPORT = re.compile(
    r"""^[ \t]*(?:
        from[ \t]+\S+[ \t]+import\b[ \t]*(?:\([^)]*\)|[^\n]*)   # Python, in brackets over several lines too
        | import\b[^\n{]*(?:\{[^}]*\})?[^\n]*                     # Python, JavaScript, Java, Go, ...
        | us(?:e|ing)\b[^\n]*;                                    # Rust, PHP, C#
        | \#[ \t]*include\b[^\n]*
        | (?:const|let|var)\b[^\n]*\brequire\([^\n]*
    )\n?""",
    re.MULTILINE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Extra:
    """``pieces`` are the most useful first; ``imports`` are the document's own."""

    pieces: tuple[Snippet, ...] = ()
    imports: str = ""


class ContextFinder:
    """Finds extra context. It keeps an index of the open documents. Only one thread may use it at a time, except for
    the figures of ``index``.
    """

    def __init__(self) -> None:
        self.index = RelevanceIndex()
        self._own: tuple[tuple[str, int, int], Document] | None = None

    def find(self, document: Document, cursor: int, others: Sequence[Document]) -> Extra:
        """The extra context for a cursor (a character index). ``others`` may be read; those of another language are
        left out.
        """
        line = document.line_at(cursor)
        alike = [other for other in others if other.language == document.language]
        self.index.follow([*self._far_off(document, line), *alike])
        imports = imports_of(document, cursor)
        imported = identifiers(imports)
        ranked = self.index.ranked(_query(document, line) | imported)
        modules = {other.uri for other in alike if _module(other.uri) in imported}
        best = sorted(_candidates(ranked, document.uri, line, modules), key=_order)[:MOST_PIECES]
        return Extra(tuple(_shown(best, document)), imports)

    def _far_off(self, document: Document, line: int) -> tuple[Document, ...]:
        """The document itself, if it has parts far from the cursor, as it was when the cursor came to this line."""
        if document.lines <= NEAR_BEFORE:
            return ()
        at = document.uri, document.lines, line // STEP_LINES
        if self._own is None or self._own[0] != at:
            self._own = at, document
        return (self._own[1],)


def imports_of(document: Document, cursor: int) -> str:
    """The import lines above the cursor's line, as far as they are near the beginning."""
    above = _text(document, 0, min(document.line_at(cursor), _IMPORT_LINES))
    return to_engine("".join(match[0] for match in _IMPORT.finditer(above)))


def _query(document: Document, line: int) -> frozenset[str]:
    """The identifiers around a line. Typing in the line does not change them; new lines change them at every eighth."""
    step = line // STEP_LINES * STEP_LINES
    above = _text(document, max(0, step - LINES_ABOVE), step)
    return identifiers(above) | identifiers(_text(document, line + 1, line + 1 + LINES_BELOW))


def _candidates(ranked: Sequence[Ranked], uri: str, line: int, imported: set[str]) -> Iterator[Ranked]:
    for found in ranked:
        piece, score = found.piece, found.score
        if piece.uri == uri:
            if line - NEAR_BEFORE < piece.end and piece.first < line + NEAR_AFTER:
                continue
        elif piece.uri in imported:
            score *= IMPORTED
        if score >= LEAST_SCORE:
            yield Ranked(piece, score)


def _order(found: Ranked) -> tuple[int, str, int]:
    """Sorts the best first, in classes of similar scores, so that small changes of a score do not change the order."""
    return -round(found.score / _COARSE), found.piece.uri, found.piece.first


def _shown(best: Sequence[Ranked], document: Document) -> Iterator[Snippet]:
    comment = syntax_of(document.language).comment
    root = named_file(document.uri).root
    left = MOST_CHARACTERS
    for found in best:
        text = to_engine(found.piece.text).strip("\n")
        left -= len(text)
        if left < 0:
            return
        path = name_in(root, found.piece.uri)
        yield Snippet(text + "\n\n", path, heading=f"{comment} {path}\n" if comment else "")


def _text(document: Document, first: int, end: int) -> str:
    """Lines ``first`` up to ``end``, not included."""
    if first >= document.lines:
        return ""
    stop = int(document.line_starts[end]) if end < document.lines else len(document.text)
    return document.text[int(document.line_starts[first]) : stop]


def _module(uri: str) -> str:
    path = PurePosixPath(path_of(uri))
    return path.parent.name if path.stem in ("__init__", "index", "mod") else path.stem
