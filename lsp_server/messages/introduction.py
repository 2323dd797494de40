"""``initialize``: reads the capabilities that the server uses, by hand, so no other one can cause an error."""

from collections.abc import Mapping

from lsprotocol import types

from lsp_server.messages.fields import LARGEST, elements, integer, is_offered, member, text
from lsp_server.transport.tcp import TOKEN


def introduction(params: object) -> types.InitializeParams:
    """The parameters of ``initialize`` with the fields that the server reads. All of them may be missing."""
    name = text(member(params, "clientInfo", "name"))
    return types.InitializeParams(
        process_id=_process_id(member(params, "processId")),
        client_info=None if name is None else types.ClientInfo(name),
        capabilities=_capabilities(member(params, "capabilities")),
        initialization_options=_options(member(params, "initializationOptions")),
    )


def _options(said: object) -> object:
    """The options without the token of a client over TCP, which is not a setting."""
    return {name: value for name, value in said.items() if name != TOKEN} if isinstance(said, Mapping) else said


def _process_id(value: object) -> int | None:
    number = integer(value)
    return None if number in (None, 0, LARGEST) else number


def _capabilities(said: object) -> types.ClientCapabilities:
    offered = elements(member(said, "general", "positionEncodings"))
    encodings = [types.PositionEncodingKind(name) for name in offered if name in _ENCODINGS]
    return types.ClientCapabilities(
        workspace=_workspace(member(said, "workspace")),
        text_document=_text_document(member(said, "textDocument")),
        notebook_document=types.NotebookDocumentClientCapabilities(types.NotebookDocumentSyncClientCapabilities())
        if is_offered(member(said, "notebookDocument"))
        else None,
        window=types.WindowClientCapabilities(work_done_progress=member(said, "window", "workDoneProgress") is True),
        general=types.GeneralClientCapabilities(position_encodings=encodings or None),
        experimental={name: member(said, "experimental", name) is True for name in _EXPERIMENTAL},
    )


def _workspace(said: object) -> types.WorkspaceClientCapabilities:
    registers = member(said, "didChangeConfiguration", "dynamicRegistration") is True
    return types.WorkspaceClientCapabilities(
        configuration=member(said, "configuration") is True,
        did_change_configuration=types.DidChangeConfigurationClientCapabilities(dynamic_registration=registers),
        execute_command=types.ExecuteCommandClientCapabilities()
        if is_offered(member(said, "executeCommand"))
        else None,
    )


def _text_document(said: object) -> types.TextDocumentClientCapabilities:
    inline, listed = member(said, "inlineCompletion"), member(said, "completion")
    formats = elements(member(listed, "completionItem", "documentationFormat"))
    known = [kind for kind in types.MarkupKind if kind.value in formats]
    return types.TextDocumentClientCapabilities(
        inline_completion=types.InlineCompletionClientCapabilities(dynamic_registration=_is_dynamic(inline))
        if is_offered(inline)
        else None,
        completion=types.CompletionClientCapabilities(
            dynamic_registration=_is_dynamic(listed),
            completion_item=types.ClientCompletionItemOptions(documentation_format=known),
        )
        if is_offered(listed)
        else None,
    )


def _is_dynamic(said: object) -> bool:
    return member(said, "dynamicRegistration") is True


_EXPERIMENTAL = ("midtokenStatus", "midtokenMoreText")
"""Capabilities of our own: `midtoken/status` and `midtoken/moreText` are understood."""
_ENCODINGS = tuple(kind.value for kind in types.PositionEncodingKind)
