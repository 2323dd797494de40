"""The names in other open documents. Each version is read once, and each request reads a bounded amount."""

import re
from collections import OrderedDict
from collections.abc import Sequence

from lsp_server.documents.documents import Document

LONGEST_DOCUMENT = 300_000
NEW_CHARACTERS = 100_000
"""What is read at most for one request, to the end of the document that is begun; the rest waits for the next ones."""
MOST_NAMES = 20_000
"""Limit for one document. A document with more names is data."""
_NAME = re.compile(r"[^\W\d][\w$]*")


class SymbolIndex:
    """The names of the documents given last. Used by one thread at a time."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, tuple[Document, frozenset[str]]] = OrderedDict()

    def names(self, documents: Sequence[Document]) -> tuple[frozenset[str], ...]:
        """The names of each of the documents, the most important document first. Other documents are forgotten.

        A changed document that was not read again yet keeps its old names.
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
