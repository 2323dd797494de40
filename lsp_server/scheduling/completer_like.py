"""What the server needs of a model."""

from collections.abc import Callable
from typing import Protocol

from engine import CancellationToken, CompletionRequest, CompletionResult, ModelInfo


class CompleterLike(Protocol):
    """The part of `engine.Completer` that the server uses."""

    @property
    def info(self) -> ModelInfo:
        """What is loaded, and where it runs."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know about how the model runs."""

    def complete(
        self,
        request: CompletionRequest,
        cancel: CancellationToken | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> CompletionResult:
        """Complete one request, and report the text while it is written; blocks."""

    def read(self, request: CompletionRequest, cancel: CancellationToken, rest: float = 0.0) -> None:
        """Read the context of an expected request, and rest ``rest`` times as long as each pass; blocks."""

    def keep_places(self, limit_bytes: int) -> None:
        """Keep up to ``limit_bytes`` of keys and values of places that were read before."""
