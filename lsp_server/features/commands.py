"""``workspace/executeCommand``: the server's own commands, and what clients report about items.

Clients may send any argument. One that is not as documented is logged and does nothing.
"""

import inspect
import logging
from collections.abc import Callable
from dataclasses import asdict

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from lsp_server.acceptance import ACCEPT
from lsp_server.completion.answer import speculate
from lsp_server.documents.line_endings import length_in_document, to_engine
from lsp_server.documents.positions import characters_of
from lsp_server.features.models import ADD, LIST, add_model, list_models
from lsp_server.language_server import MidtokenServer
from lsp_server.memory import resident_bytes
from lsp_server.messages.fields import elements, integer, member

log = logging.getLogger(__name__)


def accept(ls: MidtokenServer, *arguments: object) -> None:
    """The client inserted an item: its id is the argument."""
    _note(ls, arguments[0] if arguments else None, None)


def did_partially_accept(ls: MidtokenServer, params: object) -> None:
    """The client inserted the beginning of an item, ``acceptedLength`` UTF-16 units of its ``insertText``."""
    length = integer(member(params, "acceptedLength"))
    if length is None:
        log.warning("a partial acceptance does not say how much was accepted; it is ignored")
        return
    _note(ls, _id_of(params), length)


def did_show(ls: MidtokenServer, params: object) -> None:
    """The client shows an item. Once it has said so, only items that it reports count as shown."""
    state, number = ls.state, _id_of(params)
    if not isinstance(number, str) or state.ledger.find(number) is None:
        log.warning("an item was shown that was not offered here, or too long ago; it is not counted")
        return
    if not state.reports_shown:
        state.reports_shown = True
        state.statistics.shown = 0
    state.statistics.shown += 1


def enable(ls: MidtokenServer, *arguments: object) -> None:
    """Complete again: everywhere, or in the language given as the argument."""
    if arguments:
        ls.state.languages_off.discard(str(arguments[0]))
    else:
        ls.state.enabled = True
    ls.report_status()


def disable(ls: MidtokenServer, *arguments: object) -> None:
    """Answer completions with an empty list until `enable`: everywhere, or in the language given as the argument.

    Running completions stop.
    """
    state = ls.state
    if arguments:
        state.languages_off.add(str(arguments[0]))
        for document in state.documents.values():
            if not state.is_on(document):
                state.scheduler.drop_document(document.uri)
    else:
        state.enabled = False
        state.scheduler.drop_all()
    ls.report_status()


def model_info(ls: MidtokenServer, *arguments: object) -> dict[str, object]:
    """The model in use. Every field except ``state`` and ``problem`` is null without a model."""
    model = ls.state.model
    info = {} if model.info is None else asdict(model.info)
    names = {
        "name": "name",
        "path": "path",
        "device": "device",
        "provider": "provider",
        "precision": "precision",
        "vocabulary": "vocabulary",
        "contextLength": "context_length",
        "prefixIndex": "prefix_index",
        "fimOrders": "fim_orders",
        "tokensPerSecond": "tokens_per_s",
    }
    notices = None if model.completer is None else list(model.completer.notices)
    return {
        "state": model.state,
        "problem": model.problem,
        **{name: info.get(field) for name, field in names.items()},
        "notices": notices,
    }


def statistics(ls: MidtokenServer, *arguments: object) -> dict[str, object]:
    """The figures of the session, and how much memory its parts take."""
    state, counts = ls.state, ls.state.scheduler.counts
    return {
        **state.statistics.to_json(),
        "modelCalls": counts.calls,
        "stoppedCalls": counts.stopped,
        "speculativeCalls": counts.speculative,
        "readings": counts.readings,
        "shownReported": state.reports_shown,
        "keptCharacters": state.ledger.kept_characters,
        "memory": {
            "residentBytes": resident_bytes(),
            "documents": len(state.documents),
            "documentCharacters": state.document_characters,
            "documentsLeftOut": len(state.left_out),
            "cachedCompletions": len(state.completion_cache),
            "cachedCharacters": state.completion_cache.characters,
            "contextPieces": state.context.index.pieces,
            "contextCharacters": state.context.index.characters,
        },
    }


def show_log(ls: MidtokenServer, *arguments: object) -> dict[str, object]:
    """The last lines of the log. No document text is in them."""
    return {"lines": ls.state.log.lines}


COMMANDS: dict[str, Callable[..., object]] = {
    ACCEPT: accept,
    "midtoken.server.enable": enable,
    "midtoken.server.disable": disable,
    "midtoken.server.modelInfo": model_info,
    "midtoken.server.statistics": statistics,
    "midtoken.server.showLog": show_log,
    LIST: list_models,
    ADD: add_model,
}


async def execute_command(ls: MidtokenServer, params: types.ExecuteCommandParams) -> object:
    """Run a command. pygls's own implementation keeps an object for every command, and does not cancel waiting ones."""
    handler = COMMANDS.get(params.command)
    if handler is None:
        raise JsonRpcInvalidParams(f"there is no command {params.command[:80]!r}")
    result = handler(ls, *(params.arguments or ()))
    return await result if inspect.isawaitable(result) else result


def _note(ls: MidtokenServer, number: object, units: int | None) -> None:
    state = ls.state
    offer = state.ledger.find(number) if isinstance(number, str) else None
    if offer is None or not isinstance(number, str):
        log.warning("an item was accepted that was not offered here, or too long ago; it is not counted")
        return
    length = None
    if units is not None:
        length = characters_of(state.client.insertable(offer.insert_text), units, "utf-16")
        if not state.client.carriage_returns:
            length = length_in_document(offer.insert_text, length)
    accepted = state.ledger.accept(number, state.documents.get(offer.uri), length)
    assert accepted is not None, "the offer was found"
    if length is not None:
        state.completion_cache.prefer(offer.uri, to_engine(offer.insert_text[offer.typed :]))
    state.statistics.accepted += accepted.is_first
    state.statistics.accepted_characters += accepted.characters
    document = state.documents.get(offer.uri)
    if accepted.stands and offer.is_ghost_text and document is not None:
        ls.start(speculate(ls, document, accepted.end), "what will be asked next could not be begun")


def _id_of(params: object) -> object:
    """The id in the command of the item in a notification."""
    arguments = elements(member(params, "item", "command", "arguments"))
    return arguments[0] if arguments else None
