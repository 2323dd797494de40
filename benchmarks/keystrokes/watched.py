"""A completer around another one: what is watched about it is up to whoever inherits."""

from collections.abc import Callable
from pathlib import Path

from engine import CancellationToken, CompletionRequest, CompletionResult, DeviceChoice, ModelInfo
from lsp_server.calls import OnText
from lsp_server.model import CompleterLike, Loader


class Watched:
    """Passes everything on to a completer, as `lsp_server.model.CompleterLike` has it."""

    def __init__(self, completer: CompleterLike) -> None:
        self._completer = completer

    @property
    def info(self) -> ModelInfo:
        """See `lsp_server.model.CompleterLike`."""
        return self._completer.info

    @property
    def notices(self) -> tuple[str, ...]:
        """See `lsp_server.model.CompleterLike`."""
        return self._completer.notices

    def complete(
        self, request: CompletionRequest, cancel: CancellationToken | None = None, on_text: OnText | None = None
    ) -> CompletionResult:
        """See `lsp_server.model.CompleterLike`."""
        return self._completer.complete(request, cancel, on_text)


def watching(load: Loader, watch: Callable[[CompleterLike], Watched]) -> Loader:
    """A loader whose completers are watched."""

    def loaded(model_dir: Path | None = None, *, device: DeviceChoice = "auto", threads: int | None = None) -> Watched:
        return watch(load(model_dir, device=device, threads=threads))

    return loaded
