"""Tells clients what the server can do: at the start, or by ``client/registerCapability`` if they support it.

With registration, clients send requests only for the languages in the settings.
"""

from lsprotocol import types

from lsp_server.language_server import MidtokenServer
from lsp_server.settings import SECTION

TRIGGER_CHARACTERS = (".",)


def hold_back(ls: MidtokenServer) -> None:
    """Leave out of the answer to ``initialize`` what will be registered, because a method must not be offered twice."""
    ls.withhold(ls.state.client.dynamic)


def register(ls: MidtokenServer) -> None:
    """Register for changes of the settings, once the client is ready."""
    ls.restore()
    if ls.state.client.configuration_registration:
        options = types.DidChangeConfigurationRegistrationOptions(section=SECTION)
        method = types.WORKSPACE_DID_CHANGE_CONFIGURATION
        ls.client_register_capability(types.RegistrationParams([types.Registration(method, method, options)]))


def register_completions(ls: MidtokenServer) -> None:
    """Register completions for the languages of the settings, and again when those change."""
    state, methods = ls.state, sorted(ls.state.client.dynamic)
    languages = state.settings.languages
    if not methods or languages == state.registered:
        return
    if state.registered is not None:
        gone = [types.Unregistration(method, method) for method in methods]
        ls.client_unregister_capability(types.UnregistrationParams(gone))
    state.registered = languages
    selector = [types.TextDocumentFilterLanguage(language) for language in languages] or None
    options = {
        types.TEXT_DOCUMENT_INLINE_COMPLETION: types.InlineCompletionRegistrationOptions(document_selector=selector),
        types.TEXT_DOCUMENT_COMPLETION: types.CompletionRegistrationOptions(
            document_selector=selector, trigger_characters=TRIGGER_CHARACTERS, resolve_provider=True
        ),
    }
    wanted = [types.Registration(method, method, options[method]) for method in methods]
    ls.client_register_capability(types.RegistrationParams(wanted))
