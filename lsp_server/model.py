"""The completer of the server: loaded in the background, replaced when the settings name another model."""

import asyncio
from pathlib import Path
from typing import Literal, Protocol

from engine import CancellationToken, CompletionRequest, CompletionResult, DeviceChoice, ModelInfo
from lsp_server.logs import describe
from lsp_server.worker import ModelThread


class CompleterLike(Protocol):
    """The part of `engine.Completer` that the server uses."""

    @property
    def info(self) -> ModelInfo:
        """What is loaded, and where it runs."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know about how the model runs."""

    def complete(self, request: CompletionRequest, cancel: CancellationToken | None = None) -> CompletionResult:
        """Complete one request; blocks."""


class Loader(Protocol):
    """`engine.Completer.load`, or what stands in for it in a test."""

    def __call__(self, model_dir: Path | None = None, *, device: DeviceChoice = "auto") -> CompleterLike:
        """Load the model folder, or the bundled model for None; blocks."""


ModelState = Literal["absent", "loading", "ready", "failed"]


class ModelHost:
    """Owns the completer. Only jobs on the model thread touch it, so that none finds it half closed."""

    def __init__(self, thread: ModelThread, load: Loader) -> None:
        self._thread = thread
        self._load = load
        self._wanted: tuple[Path | None, DeviceChoice] | None = None
        self._settled = asyncio.Event()
        self._completer: CompleterLike | None = None
        self.state: ModelState = "absent"
        self.problem: str | None = None
        """Why the model that was asked for last could not be loaded."""

    @property
    def completer(self) -> CompleterLike | None:
        """The model that serves now, to ask what it is."""
        return self._completer

    @property
    def info(self) -> ModelInfo | None:
        """What serves now."""
        return None if self._completer is None else self._completer.info

    async def load(self, model_dir: Path | None, device: DeviceChoice) -> CompleterLike | None:
        """Load a model in place of the one that is there; None if it is there already or a newer call came between.

        Raises what the loader raises; the server then has no model.
        """
        wanted = (model_dir, device)
        if self._wanted == wanted:
            return None
        self._wanted, self.state = wanted, "loading"
        self._settled.clear()
        try:
            completer = await asyncio.wrap_future(self._thread.submit(lambda: self._replace(model_dir, device)))
        except Exception as error:
            if self._settle(wanted, "failed"):
                self.problem = describe(error)
            raise
        return completer if self._settle(wanted, "ready") else None

    async def wait(self, timeout_s: float) -> bool:
        """Whether there is a model, waiting for it no longer than that."""
        if not self._settled.is_set():
            try:
                await asyncio.wait_for(self._settled.wait(), max(timeout_s, 0.0))
            except TimeoutError:
                return False
        return self.state == "ready"

    def complete(self, request: CompletionRequest, cancel: CancellationToken) -> CompletionResult | None:
        """On the model thread: complete with the model of the moment; None if there is none any more."""
        return None if self._completer is None else self._completer.complete(request, cancel)

    def close(self, timeout_s: float) -> bool:
        """Free the model and end its thread; False if a model call is still running after ``timeout_s``."""
        self._thread.submit(self._close)
        return self._thread.stop(timeout_s)

    def _settle(self, wanted: tuple[Path | None, DeviceChoice], state: ModelState) -> bool:
        if self._wanted != wanted:
            return False
        self.state, self.problem = state, None
        self._settled.set()
        return True

    def _replace(self, model_dir: Path | None, device: DeviceChoice) -> CompleterLike:
        self._close()  # first, so that two models are never in memory at once
        self._completer = self._load(model_dir, device=device)
        return self._completer

    def _close(self) -> None:
        self._completer = None  # its memory goes with the last reference
