"""The names in other open documents. Read once a version, a bounded part of what is new for each request."""

import re
from collections import OrderedDict
from collections.abc import Sequence

from lsp_server.documents.documents import Document

LONGEST_DOCUMENT = 300_000
NEW_CHARACTERS = 100_000
"""What is read at most for one request, to the end of the document that is begun; the rest waits for the next ones."""
MOST_NAMES = 20_000
"""Of one document; one with more is data."""
_NAME = re.compile(r"[^\W\d][\w$]*")


class SymbolIndex:
    """The names of the documents given last. Used by one thread at a time."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, tuple[Document, frozenset[str]]] = OrderedDict()

    def names(self, documents: Sequence[Document]) -> tuple[frozenset[str], ...]:
        """Those of each of the documents, the most important first; others are forgotten.

        A document that changed and is not read again yet has the names that it had.
        """
        wanted = [document for document in documents if len(document.text) <= LONGEST_DOCUMENT]
        for uri in self._names.keys() - {document.uri for document in wanted}:
            del self._names[uri]
        left = NEW_CHARACTERS
        for document in wanted:
            known = self._names.get(document.uri)
            if left > 0 and (known is None or known[0] is not document):
                found = frozenset(_NAME.findall(document.text))
                self._names[document.uri] = document, found if len(found) <= MOST_NAMES else frozenset()
                left -= len(document.text)
        return tuple(self._names[document.uri][1] for document in wanted if document.uri in self._names)
