"""The names of repository and files in a prompt, laid out as the model was trained.

Families differ in where their tokens stand; the manifest says where (`RepositoryTokens`; the table of
`engine.model_folder.fim_spellings` names the sources). With a snippet of ``a.py`` and the document ``b.py``, and ``/``
for a line break:

    <repo>name <file>a.py/text <file>b.py/ TEMPLATE(prefix, suffix)     as Qwen has it
               a.py/text <file>b.py/ TEMPLATE(prefix, suffix)           ``separates``
    <repo>name <file>a.py/text <file> TEMPLATE(b.py/prefix, suffix)     ``path_in_prefix``

What changes least comes first, so that the key/value cache keeps it during typing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from engine.model_folder.manifest import RepositoryTokens
from engine.types import CompletionRequest, Snippet, TokenIds

Encode = Callable[[str], TokenIds]
"""Turns text that begins inside another text into token ids. Text that is spelled like a control token is text too."""


@dataclass(frozen=True, slots=True)
class FileNames:
    """Token ids: ``repository`` opens the prompt, ``document`` follows the snippets, ``inside`` opens the prefix."""

    repository: TokenIds
    document: TokenIds
    inside: TokenIds

    @property
    def length(self) -> int:
        return len(self.repository) + len(self.document) + len(self.inside)


def names_of(request: CompletionRequest, tokens: RepositoryTokens, encode: Encode) -> FileNames:
    """The ids for a request's repository, if it has one, and for its path, which is not empty."""
    repository: TokenIds = ()
    if tokens.repository is not None and request.repository:
        repository = (tokens.repository, *encode(request.repository + tokens.after_repository))
    opening = () if tokens.separates else (tokens.file,)
    path = encode(f"{request.path}\n")
    if tokens.path_in_prefix:
        return FileNames(repository, opening, path)
    return FileNames(repository, opening + path, ())


def snippet_ids(snippet: Snippet, tokens: RepositoryTokens, encode: Encode) -> TokenIds:
    """A snippet as the file that it is from, or as a file without a name."""
    text = snippet.text.rstrip("\n") + "\n"
    ids = encode(f"{snippet.path}\n{text}" if snippet.path else text)
    return (*ids, tokens.file) if tokens.separates else (tokens.file, *ids)
