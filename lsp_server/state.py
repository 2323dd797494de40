"""What the server knows about its client. This is the only mutable state of the server."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from lsprotocol import types

from lsp_server.acceptance import Ledger
from lsp_server.context.cross_file import ContextFinder
from lsp_server.context.symbols import SymbolIndex
from lsp_server.documents.documents import Document
from lsp_server.documents.line_endings import BUFFERS_WITHOUT_CARRIAGE_RETURNS, without_carriage_returns
from lsp_server.documents.notebooks import Neighbours, Notebooks
from lsp_server.documents.positions import PositionEncoding, negotiated_encoding
from lsp_server.effort import Machine
from lsp_server.files.excluded import ExcludePatterns, is_selected
from lsp_server.files.git_ignore import GitIgnores
from lsp_server.logs import RecentLines
from lsp_server.models.background import LocalModels
from lsp_server.scheduling.completion_cache import CompletionCache
from lsp_server.scheduling.debounce import Debounce
from lsp_server.scheduling.model import ModelHost
from lsp_server.scheduling.scheduler import Scheduler
from lsp_server.scheduling.worker import ModelThread
from lsp_server.settings import Settings, Values, read_client, resolve
from lsp_server.statistics import Statistics

log = logging.getLogger(__name__)

Phase = Literal["new", "running", "shut down"]

MOST_CHARACTERS = 64_000_000
"""Limit for all open documents together. Those that were not changed for longest are left out first."""
MOST_CHARACTERS_OF_ONE = 4_000_000
"""Limit for one document. A longer one is data, and every keystroke would copy it."""

MOST_NEIGHBOURS = 32
"""Limit for the other open documents that a request uses."""


@dataclass(frozen=True, slots=True)
class Client:
    """The client's abilities, as far as they matter here."""

    encoding: PositionEncoding = "utf-16"
    configuration: bool = False
    configuration_registration: bool = False
    progress: bool = False
    status: bool = False
    more_text: bool = False
    """It asks again when it is told that there is more to show."""
    commands: bool = False
    markdown: bool = False
    """It can show markdown beside an item of the list."""
    dynamic: frozenset[str] = frozenset()
    """The completion methods that it lets the server register for."""
    carriage_returns: bool = True
    """Inserted text may have carriage returns if the document has them."""

    @classmethod
    def of(cls, capabilities: types.ClientCapabilities, name: str | None = None) -> "Client":
        """Read a client's capabilities."""
        workspace, window = capabilities.workspace, capabilities.window
        changes = workspace.did_change_configuration if workspace else None
        document = capabilities.text_document or types.TextDocumentClientCapabilities()
        item = document.completion.completion_item if document.completion else None
        formats = (item and item.documentation_format) or ()
        offered = {
            types.TEXT_DOCUMENT_INLINE_COMPLETION: document.inline_completion,
            types.TEXT_DOCUMENT_COMPLETION: document.completion,
        }
        experimental = capabilities.experimental
        if not isinstance(experimental, Mapping):  # pygls passes values without a type of its own as named tuples
            experimental = getattr(experimental, "_asdict", dict)()
        return cls(
            encoding=negotiated_encoding(capabilities),
            configuration=bool(workspace and workspace.configuration),
            configuration_registration=bool(changes and changes.dynamic_registration),
            progress=bool(window and window.work_done_progress),
            status=experimental.get("midtokenStatus") is True,
            more_text=experimental.get("midtokenMoreText") is True,
            commands=bool(workspace and workspace.execute_command),
            markdown=types.MarkupKind.Markdown in formats,
            dynamic=frozenset(
                method for method, said in offered.items() if said is not None and said.dynamic_registration
            ),
            carriage_returns=name not in BUFFERS_WITHOUT_CARRIAGE_RETURNS,
        )

    def insertable(self, text: str) -> str:
        """Document text in the form in which the client must get it to show and insert it."""
        return text if self.carriage_returns else without_carriage_returns(text)


@dataclass(slots=True)
class ServerState:
    """Settings, open documents, what was shown, running requests (in the scheduler) and the model (in its host).

    Only the event loop's thread reads or writes it. Handlers take what they need before their first ``await``. The
    values are frozen, so a request keeps the version that it was asked for.
    """

    model: ModelHost
    scheduler: Scheduler
    launch: Values = field(default_factory=dict)
    """Settings of the command line and, below them, of the environment."""
    notes: tuple[str, ...] = ()
    """Problems with these settings, to be shown once there is a client."""
    client: Client = field(default_factory=Client)
    settings: Settings = field(default_factory=Settings)
    documents: dict[str, Document] = field(default_factory=dict)
    """By URI, least recently changed first."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Languages of open documents that are too long to be kept, or whose text is unknown, by URI."""
    completion_cache: CompletionCache = field(default_factory=CompletionCache)
    debounce: Debounce = field(default_factory=Debounce)
    context: ContextFinder = field(default_factory=ContextFinder)
    """Used on the model's thread only, except for its figures."""
    symbols: SymbolIndex = field(default_factory=SymbolIndex)
    """Used on the model's thread only."""
    notebooks: Notebooks = field(default_factory=Notebooks)
    git_ignores: GitIgnores = field(default_factory=GitIgnores)
    """Used on the thread of ``files`` only."""
    files: ModelThread = field(default_factory=lambda: ModelThread("midtoken-files"))
    """Looks at the file system, which may be slow."""
    local_models: LocalModels = field(default_factory=LocalModels)
    machine: Machine = field(default_factory=Machine)
    focus: tuple[str, int] | None = None
    """Where the user probably is: a document and a character of it."""
    reading_starts: int = 0
    """How often reading ahead was started there. Only the last start reads."""
    phase: Phase = "new"
    begun: bool = False
    """Whether the client said that it is ready, after which it is asked for settings and the model is loaded."""
    enabled: bool = True
    languages_off: set[str] = field(default_factory=set)
    """Languages that the user has switched off with the command."""
    failure: str | None = None
    """Why the last completion failed; None once another one worked."""
    statistics: Statistics = field(default_factory=Statistics)
    ledger: Ledger = field(default_factory=Ledger)
    log: RecentLines = field(default_factory=RecentLines)
    reports_shown: bool = False
    """The client reports which items it shows, so they need not be guessed."""
    status_sent: object = None
    counts_from_zero: bool = False
    """The client counts trigger kinds as before LSP 3.18: 0 for invoked, 1 for automatic."""
    questions: int = 0
    """How often the client was asked for its settings."""
    answered_question: int = 0
    """The last of these questions whose answer was taken."""
    registered: tuple[str, ...] | None = None
    """The languages that completions were registered for with the client; None if they were not."""
    _options: Values = field(default_factory=dict)
    _configuration: Values = field(default_factory=dict)
    """The client's last answer about its settings."""
    _configured: asyncio.Event = field(default_factory=asyncio.Event)
    _reported: set[str] = field(default_factory=set)

    def begin(self, capabilities: types.ClientCapabilities, options: object, name: str | None = None) -> None:
        """The client has sent ``initialize``, with its name if it has one."""
        self.client = Client.of(capabilities, name)
        self._options, problems = read_client(options)
        self.notes += problems
        self.settings = resolve(self._options, self.launch)
        self.phase = "running"

    def configure(self, configuration: object) -> tuple[str, ...]:
        """Take the client's new settings; returns the problems with them."""
        self._configuration, problems = read_client(configuration, self._configuration)
        self.settings = resolve(self._configuration, self._options, self.launch)
        if not self.settings.cross_file_context:
            self.context = ContextFinder()  # its index of documents is no longer needed
        self.keep_configuration()
        return problems

    def keep_configuration(self) -> None:
        """The client does not send its settings, so its earlier ones stay."""
        self._configured.set()

    async def configured_within(self, timeout_s: float) -> bool:
        """Whether the client has sent its settings in time. Before that, it is unknown which files must not be read."""
        if not self._configured.is_set():
            try:
                await asyncio.wait_for(self._configured.wait(), timeout_s)
            except TimeoutError:
                return False
        return True

    def unreported(self, messages: Iterable[str]) -> tuple[str, ...]:
        """The messages that were not shown before in this session. They count as shown from now on."""
        new = tuple(dict.fromkeys(message for message in messages if message not in self._reported))
        self._reported.update(new)
        return new

    async def readable(self, documents: Sequence[Document]) -> tuple[Document, ...]:
        """The documents that the settings and git allow the model to see, for completion or as context of another one.

        Git's lists are read on a thread of their own, because that may be slow. A document that is not known to be
        readable in time is not read. If none is left, the answer is empty.
        """
        uris = {document: self._uris_of(document) for document in documents}
        patterns = ExcludePatterns.of(self.settings.exclude)
        selected = [
            document
            for document in documents
            if is_selected(document.language, self.settings) and not any(map(patterns.cover, uris[document]))
        ]
        if not selected:
            return ()
        weighed = self.files.submit(lambda: [any(map(self.git_ignores.cover, uris[document])) for document in selected])
        try:
            ignored = await asyncio.wait_for(asyncio.wrap_future(weighed), self.settings.budget_ms / 1000)
        except TimeoutError:
            log.warning("it takes too long to find out what git ignores; nothing is read until it is known")
            return ()
        return tuple(document for document, is_ignored in zip(selected, ignored, strict=True) if not is_ignored)

    def _uris_of(self, document: Document) -> tuple[str, ...]:
        notebook = self.notebooks.of_cell(document.uri)
        return (document.uri,) if notebook is None else (document.uri, notebook.uri)

    def put(self, document: Document) -> None:
        """Store a document that was opened or changed."""
        was_left_out = self.left_out.pop(document.uri, None) is not None
        self.ledger.changed(self.documents.pop(document.uri, None), document)
        self.documents[document.uri] = document
        self.scheduler.document_changed(document.uri, document.text)
        characters = self.document_characters
        if len(document.text) > MOST_CHARACTERS_OF_ONE:
            self._leave_out(document, quietly=was_left_out)
            return
        for other in tuple(self.documents.values())[:-1]:
            if characters <= MOST_CHARACTERS:
                break
            self._leave_out(other)
            characters -= len(other.text)

    def _leave_out(self, document: Document, *, quietly: bool = False) -> None:
        if not quietly:
            log.warning("a document of %d characters is left out: too much is open", len(document.text))
        self.remove(document.uri)
        self.left_out[document.uri] = document.language

    def lose(self, uri: str, language: str, why: str) -> None:
        """The text of an open document is no longer known, until the whole text is sent."""
        log.warning("%s; the document counts as unknown until its text is sent whole", why)
        self.remove(uri)
        self.left_out[uri] = language

    def is_invoked(self, trigger_kind: int | None) -> bool:
        """Whether the user asked for a completion by hand. An unknown kind, or none, counts as automatic.

        0 and 2 each tell how the client counts. Until it sends one of them, 1 has its meaning in LSP 3.18.
        """
        if trigger_kind in (0, 2):
            self.counts_from_zero = trigger_kind == 0
        return trigger_kind == (0 if self.counts_from_zero else types.InlineCompletionTriggerKind.Invoked.value)

    @property
    def document_characters(self) -> int:
        """Characters of all documents that are kept."""
        return sum(len(document.text) for document in self.documents.values())

    def is_on(self, document: Document) -> bool:
        """Whether the user has not switched completions off, everywhere or in the document's language."""
        return self.enabled and document.language not in self.languages_off

    def remove(self, uri: str) -> None:
        """Remove a closed document. Its requests are answered with nothing."""
        self.documents.pop(uri, None)
        self.left_out.pop(uri, None)
        self.scheduler.drop_document(uri)
        self.completion_cache.forget(uri)
        self.ledger.closed(uri)

    def neighbours(self, document: Document) -> Neighbours:
        """The documents around one, as they are now."""
        notebook = self.notebooks.of_cell(document.uri)
        before, after = notebook.code_around(document.uri) if notebook is not None else ((), ())
        own = {document.uri, *(cell.uri for cell in (notebook.cells if notebook is not None else ()))}
        others = (other for other in reversed(self.documents.values()) if other.uri not in own)
        alike = islice((other for other in others if other.language == document.language), MOST_NEIGHBOURS)
        return Neighbours(self._alike(document, before), self._alike(document, after), tuple(alike))

    def _alike(self, document: Document, uris: Iterable[str]) -> tuple[Document, ...]:
        found = (self.documents.get(uri) for uri in uris)
        return tuple(other for other in found if other is not None and other.language == document.language)
