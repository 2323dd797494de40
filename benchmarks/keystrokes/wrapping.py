"""A completer around another one, as the server sees it. Derived classes define what happens at a call."""

from engine import CancellationToken, CompletionRequest, ModelInfo
from lsp_server.scheduling.completer_like import CompleterLike


class WrappedCompleter:
    """Implements `lsp_server.scheduling.model.CompleterLike` with the completer inside it, except for the calls."""

    def __init__(self, completer: CompleterLike) -> None:
        self._completer = completer

    @property
    def info(self) -> ModelInfo:
        """See `lsp_server.scheduling.model.CompleterLike`."""
        return self._completer.info

    @property
    def notices(self) -> tuple[str, ...]:
        """See `lsp_server.scheduling.model.CompleterLike`."""
        return self._completer.notices

    def read(self, request: CompletionRequest, cancel: CancellationToken, rest: float = 0.0) -> None:
        """See `lsp_server.scheduling.model.CompleterLike`."""
        self._completer.read(request, cancel, rest)

    def keep_places(self, limit_bytes: int) -> None:
        """See `lsp_server.scheduling.model.CompleterLike`."""
        self._completer.keep_places(limit_bytes)
