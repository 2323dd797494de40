"""The completer of the server: loaded in the background, replaced when the settings name another model."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from engine import CancellationToken, Cancelled, CompletionRequest, CompletionResult, DeviceChoice, ModelInfo
from lsp_server.logs import describe
from lsp_server.memory import give_back_free_memory
from lsp_server.scheduling.priority import give_way
from lsp_server.scheduling.worker import ModelThread


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
        """Complete one request, telling what is written on the way; blocks."""

    def read(self, request: CompletionRequest, cancel: CancellationToken, rest: float = 0.0) -> None:
        """Read the context of a request that may come, resting ``rest`` times as long as it works; blocks."""

    def keep_places(self, limit_bytes: int) -> None:
        """Keep up to that many bytes of the places that were read before."""


class Loader(Protocol):
    """`engine.Completer.load`, or what stands in for it in a test."""

    def __call__(
        self, model_dir: Path | None = None, *, device: DeviceChoice = "auto", threads: int | None = None
    ) -> CompleterLike:
        """Load the model folder, or the bundled model for None; blocks."""


Probe: TypeAlias = Callable[[Path | None, CancellationToken], None]
"""`engine.probe_model`, or what stands in for it: raises where a model must not be loaded; blocks."""


Finder: TypeAlias = Callable[[Path | str | None], Path | None]
"""`lsp_server.models.lookup.model_folder`, or what stands in for it: the folder of a name or path; blocks."""


def trust(folder: Path | None, cancel: CancellationToken) -> None:
    """Try nothing."""


def take_as_path(model: Path | str | None) -> Path | None:
    """Know no names."""
    return None if model is None else Path(model)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model, where it runs, and on how many threads: as the settings have it."""

    model: Path | str | None = None
    """A folder, or a name of the table of models; None is the bundled one."""
    device: DeviceChoice = "auto"
    threads: int | None = None


ModelState = Literal["absent", "loading", "ready", "failed"]


class ModelHost:
    """Owns the completer. Jobs on the model's thread use it; another one is loaded on a thread of its own, so that the
    one before serves meanwhile, and takes its place between two jobs.
    """

    def __init__(self, thread: ModelThread, load: Loader, probe: Probe = trust, find: Finder = take_as_path) -> None:
        self._find = find
        self._probe = probe
        self._trial = CancellationToken()
        self._thread = thread
        self._loading_thread = ModelThread("midtoken-loader", give_way)
        self._load = load
        self._last_load: Future[CompleterLike | None] | None = None
        self._wanted: ModelChoice | None = None
        self._settled = asyncio.Event()
        self._completer: CompleterLike | None = None
        self.state: ModelState = "absent"
        """``loading`` also while the model before serves, ``failed`` only without one."""
        self.problem: str | None = None
        """Why the model that was asked for last could not be loaded."""
        self.serial = 0
        """How often another model took the place of one that served."""

    @property
    def completer(self) -> CompleterLike | None:
        """The model that serves now, to ask what it is."""
        return self._completer

    @property
    def info(self) -> ModelInfo | None:
        """What serves now."""
        return None if self._completer is None else self._completer.info

    @property
    def is_loading(self) -> bool:
        """Whether the loading thread is at work, also for a load that nobody wants any more."""
        return self._last_load is not None and not self._last_load.done()

    async def load(self, wanted: ModelChoice) -> CompleterLike | None:
        """Load a model in place of the one that is there; None if it is there already or a newer call came between.

        Raises what the loader raises; the model before then stays, and the same call tries again.
        """
        if self._wanted == wanted:
            return None
        self._wanted, self.state = wanted, "loading"
        self._trial.cancel()  # of a model that is not wanted any more: it may take a minute
        self._trial = trial = CancellationToken()
        if self._completer is None:
            self._settled.clear()
        try:
            self._last_load = self._loading_thread.submit(lambda: self._load_if_wanted(wanted, trial))
            completer = await asyncio.wrap_future(self._last_load)
            if completer is None or self._wanted != wanted:
                return None
            replaces = self._completer is not None
            await asyncio.wrap_future(self._thread.submit(lambda: self._replace(completer)))
        except Exception as error:
            if self._wanted != wanted:
                return None
            self._wanted = None
            self._settle("ready" if self._completer else "failed", describe(error))
            raise
        self.serial += replaces
        if self._wanted == wanted:
            self._settle("ready", None)
        return completer

    def forget(self) -> None:
        """What the last choice names is another model now, or a better one: the same choice loads again."""
        self._wanted = None

    async def wait(self, timeout_s: float) -> bool:
        """Whether there is a model, waiting for the first one no longer than that."""
        if not self._settled.is_set():
            try:
                await asyncio.wait_for(self._settled.wait(), max(timeout_s, 0.0))
            except TimeoutError:
                return False
        return self._completer is not None

    def complete(
        self, request: CompletionRequest, cancel: CancellationToken, on_text: Callable[[str], None] | None = None
    ) -> CompletionResult | None:
        """On the model's thread: complete with the model of the moment; None if there is none any more."""
        return None if self._completer is None else self._completer.complete(request, cancel, on_text)

    def read(self, request: CompletionRequest, cancel: CancellationToken, rest: float) -> None:
        """On the model's thread: let the model of the moment read what may be asked next."""
        if self._completer is not None:
            self._completer.read(request, cancel, rest)

    def keep_places(self, limit_bytes: int) -> None:
        """On the model's thread: bound what the model of the moment keeps of what it has read before."""
        if self._completer is not None:
            self._completer.keep_places(limit_bytes)

    def close(self, timeout_s: float) -> bool:
        """Free the model and end its thread; False if a model call is still running after ``timeout_s``.

        A load that is under way is not waited for, and `is_loading` still.
        """
        self._trial.cancel()
        self._loading_thread.stop(0.0)
        self._thread.submit(lambda: self._replace(None))
        return self._thread.stop(timeout_s)

    def _settle(self, state: ModelState, problem: str | None) -> None:
        self.state, self.problem = state, problem
        self._settled.set()

    def _load_if_wanted(self, wanted: ModelChoice, trial: CancellationToken) -> CompleterLike | None:
        # Loads wait for each other: of those that are overtaken in the queue none takes time or memory.
        if self._wanted != wanted:
            return None
        folder = self._find(wanted.model)
        try:
            self._probe(folder, trial)
        except Cancelled:
            return None
        return self._load(folder, device=wanted.device, threads=wanted.threads)

    def _replace(self, completer: CompleterLike | None) -> None:
        before, self._completer = self._completer, completer
        if before is not None:
            del before  # with the last reference its memory is free
            give_back_free_memory()
