"""The parameters of each method that a client may call: from plain JSON to what its handler takes."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from lsprotocol import types

from lsp_server.documents.notebooks import Cell
from lsp_server.messages.fields import (
    Unreadable,
    elements,
    identifier,
    integer,
    member,
    position,
    span,
    text,
    uri_of,
    uris_of,
)
from lsp_server.messages.introduction import introduction
from lsp_server.messages.values import (
    AskedCompletion,
    Change,
    ChangedDocument,
    ChangedNotebook,
    ClosedNotebook,
    OpenedDocument,
    OpenedNotebook,
    Splice,
)

DID_FOCUS = "midtoken/didFocus"
DID_SHOW = "textDocument/didShowCompletion"
DID_PARTIALLY_ACCEPT = "textDocument/didPartiallyAcceptCompletion"


def read_parameters(method: str, params: object) -> object:
    """What the handler of a method takes; params that were left out are None. Raises `Unreadable`.

    For other methods no parameters are read.
    """
    reader = READERS.get(method)
    return None if reader is None else reader(params)


def _opened_document(value: object) -> OpenedDocument:
    language, version = text(member(value, "languageId")) or "", integer(member(value, "version"))
    return OpenedDocument(uri_of(value), language, version, text(member(value, "text")))


def _changed_document(params: object) -> ChangedDocument:
    document, changes = member(params, "textDocument"), member(params, "contentChanges")
    return _changes_of(document, changes)


def _changes_of(document: object, changes: object) -> ChangedDocument:
    read = tuple(map(_change, changes)) if isinstance(changes, list) else (None,)
    return ChangedDocument(uri_of(document), integer(member(document, "version")), read)


def _change(value: object) -> Change:
    new, where = text(member(value, "text")), member(value, "range")
    if new is None:
        return None
    if where is None:  # left out, or null: the whole text
        return types.TextDocumentContentChangeWholeDocument(new)
    replaced = span(where)
    return None if replaced is None else types.TextDocumentContentChangePartial(replaced, new)


def _cells(values: object) -> tuple[Cell, ...]:
    cells = [(text(member(value, "document")), member(value, "kind")) for value in elements(values)]
    return tuple(Cell(uri, kind == types.NotebookCellKind.Code.value) for uri, kind in cells if uri is not None)


def _documents(values: object) -> tuple[OpenedDocument, ...]:
    return tuple(_opened_document(value) for value in elements(values) if text(member(value, "uri")) is not None)


def _opened_notebook(params: object) -> OpenedNotebook:
    notebook = member(params, "notebookDocument")
    documents = _documents(member(params, "cellTextDocuments"))
    return OpenedNotebook(uri_of(notebook), _cells(member(notebook, "cells")), documents)


def _changed_notebook(params: object) -> ChangedNotebook:
    changes = member(params, "change", "cells")
    texts = tuple(
        _changes_of(member(content, "document"), member(content, "changes"))
        for content in elements(member(changes, "textContent"))
        if text(member(content, "document", "uri")) is not None
    )
    return ChangedNotebook(
        uri=uri_of(member(params, "notebookDocument")),
        splice=_splice(member(changes, "structure")),
        kinds=_cells(member(changes, "data")),
        texts=texts,
    )


def _splice(structure: object) -> Splice | None:
    if structure is None:
        return None
    array = member(structure, "array")
    start, count = integer(member(array, "start")), integer(member(array, "deleteCount"))
    return Splice(
        start=None if count is None else start,
        delete_count=count or 0,
        cells=_cells(member(array, "cells")),
        opened=_documents(member(structure, "didOpen")),
        closed=uris_of(elements(member(structure, "didClose"))),
    )


def _closed_notebook(params: object) -> ClosedNotebook:
    cells = elements(member(params, "cellTextDocuments"))
    return ClosedNotebook(uri_of(member(params, "notebookDocument")), uris_of(cells))


def _asked_completion(params: object) -> AskedCompletion:
    uri, where = uri_of(member(params, "textDocument")), position(member(params, "position"))
    if where is None:
        raise Unreadable("the position is missing, or is no two numbers")
    context = member(params, "context")
    chosen = member(context, "selectedCompletionInfo")
    replaced, new = span(member(chosen, "range")), text(member(chosen, "text"))
    selected = None if replaced is None or new is None else types.SelectedCompletionInfo(replaced, new)
    return AskedCompletion(uri, where, integer(member(context, "triggerKind"), low=-1), selected)


def _command(params: object) -> types.ExecuteCommandParams:
    command = text(member(params, "command"))
    if command is None:
        raise Unreadable("the name of the command is missing")
    return types.ExecuteCommandParams(command, list(elements(member(params, "arguments"))))


def _cancelled(params: object) -> types.CancelParams:
    number = identifier(member(params, "id"))
    if number is None:
        raise Unreadable("the id of the request is missing")
    return types.CancelParams(number)


def _progress_cancelled(params: object) -> types.WorkDoneProgressCancelParams:
    token = identifier(member(params, "token"))
    if token is None:
        raise Unreadable("the token is missing")
    return types.WorkDoneProgressCancelParams(token)


def _object(params: object) -> Mapping[str, object]:
    if not isinstance(params, Mapping):
        raise Unreadable("they are no object")
    return params


READERS: Mapping[str, Callable[[object], object]] = MappingProxyType(
    {
        types.INITIALIZE: introduction,
        types.INITIALIZED: lambda params: None,
        types.SHUTDOWN: lambda params: None,
        types.CANCEL_REQUEST: _cancelled,
        types.SET_TRACE: lambda params: types.SetTraceParams(types.TraceValue.Off),  # the setting is what counts
        types.WINDOW_WORK_DONE_PROGRESS_CANCEL: _progress_cancelled,
        types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: lambda params: types.DidChangeWorkspaceFoldersParams(
            types.WorkspaceFoldersChangeEvent([], [])
        ),
        types.WORKSPACE_DID_CHANGE_CONFIGURATION: lambda params: member(params, "settings"),
        types.WORKSPACE_EXECUTE_COMMAND: _command,
        types.TEXT_DOCUMENT_DID_OPEN: lambda params: _opened_document(member(params, "textDocument")),
        types.TEXT_DOCUMENT_DID_CHANGE: _changed_document,
        types.TEXT_DOCUMENT_DID_CLOSE: lambda params: uri_of(member(params, "textDocument")),
        types.NOTEBOOK_DOCUMENT_DID_OPEN: _opened_notebook,
        types.NOTEBOOK_DOCUMENT_DID_CHANGE: _changed_notebook,
        types.NOTEBOOK_DOCUMENT_DID_CLOSE: _closed_notebook,
        types.TEXT_DOCUMENT_INLINE_COMPLETION: _asked_completion,
        types.TEXT_DOCUMENT_COMPLETION: _asked_completion,
        types.COMPLETION_ITEM_RESOLVE: _object,
        DID_FOCUS: _asked_completion,
        DID_SHOW: lambda params: params,
        DID_PARTIALLY_ACCEPT: lambda params: params,
    }
)
"""The reader of each method that the server serves."""
