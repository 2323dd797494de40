"""What the end-to-end tests share: how servers are started, and what their client can do."""

import os
import sys
from pathlib import Path

from lsprotocol import types

ROOT = Path(__file__).parents[2]
URI = "file:///project/a.py"
FAKE_SERVER = [sys.executable, "-m", "tests.e2e.fake_server"]
REAL_SERVER = [sys.executable, "-m", "lsp_server.cli", "serve"]


def environment(**more: str) -> dict[str, str]:
    """Ours without what would configure the server, and with the sources on the path."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MIDTOKEN_")}
    return {**ours, "PYTHONPATH": str(ROOT), **more}


def capabilities(*encodings: types.PositionEncodingKind) -> types.ClientCapabilities:
    return types.ClientCapabilities(
        text_document=types.TextDocumentClientCapabilities(
            inline_completion=types.InlineCompletionClientCapabilities(),
            completion=types.CompletionClientCapabilities(),
            synchronization=types.TextDocumentSyncClientCapabilities(),
        ),
        workspace=types.WorkspaceClientCapabilities(configuration=True),
        window=types.WindowClientCapabilities(work_done_progress=True),
        general=types.GeneralClientCapabilities(position_encodings=encodings) if encodings else None,
    )


def opened(text: str, uri: str = URI) -> types.DidOpenTextDocumentParams:
    return types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, "python", 1, text))


def edited(version: int, line: int, start: int, end: int, text: str) -> types.DidChangeTextDocumentParams:
    span = types.Range(types.Position(line, start), types.Position(line, end))
    return types.DidChangeTextDocumentParams(
        types.VersionedTextDocumentIdentifier(version, URI), [types.TextDocumentContentChangePartial(span, text)]
    )


def inline(line: int, character: int, *, automatic: bool = False) -> types.InlineCompletionParams:
    kind = types.InlineCompletionTriggerKind.Automatic if automatic else types.InlineCompletionTriggerKind.Invoked
    return types.InlineCompletionParams(
        context=types.InlineCompletionContext(kind),
        text_document=types.TextDocumentIdentifier(URI),
        position=types.Position(line, character),
    )


def texts(result: object) -> list[str]:
    """The texts of an answer to ``textDocument/inlineCompletion``."""
    assert isinstance(result, types.InlineCompletionList)
    return [str(item.insert_text) for item in result.items]
