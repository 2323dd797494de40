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
from lsp_server.remote.address import Remote
from lsp_server.scheduling.completer_like import CompleterLike
from lsp_server.scheduling.priority import give_way
from lsp_server.scheduling.remote_model import RemoteCompleter
from lsp_server.scheduling.worker import ModelThread


class Loader(Protocol):
    """`engine.Completer.load`, or its replacement in a test."""

    def __call__(
        self, model_dir: Path | None = None, *, device: DeviceChoice = "auto", threads: int | None = None
    ) -> CompleterLike:
        """Load the model folder, or the bundled model for None; blocks."""


Probe: TypeAlias = Callable[[Path | None, CancellationToken], None]
"""`engine.probe_model`, or its replacement: raises if a model must not be loaded; blocks."""


Finder: TypeAlias = Callable[[Path | str | None], Path | None]
"""`lsp_server.models.lookup.model_folder`, or its replacement: the folder of a name or path; blocks."""


def trust(folder: Path | None, cancel: CancellationToken) -> None:
    """A `Probe` that tries nothing."""


def take_as_path(model: Path | str | None) -> Path | None:
    """A `Finder` that takes everything as a path."""
    return None if model is None else Path(model)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model, where it runs, and on how many threads, as the settings say."""

    model: Path | str | None = None
    """A folder, or a name of the table of models; None is the bundled one."""
    device: DeviceChoice = "auto"
    threads: int | None = None
    remote: Remote | None = None
    """The service that is asked first; None: nothing leaves this machine."""


ModelState = Literal["absent", "loading", "ready", "failed"]


class ModelHost:
    """Owns the completer. Jobs on the model's thread use it. A new model is loaded on another thread, so that the old
    one serves meanwhile, and replaces it between two jobs.
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
        """``loading`` even while the old model serves, ``failed`` only if there is no model."""
        self.problem: str | None = None
        """Why the model that was asked for last could not be loaded."""
        self.served: ModelChoice | None = None
        """What `info` tells of, as it was asked for."""
        self.serial = 0
        """How often a model in use was replaced by another one."""

    @property
    def completer(self) -> CompleterLike | None:
        """The model in use, for information about it."""
        return self._completer

    @property
    def info(self) -> ModelInfo | None:
        """Information about the model in use."""
        return None if self._completer is None else self._completer.info

    @property
    def notice(self) -> str | None:
        """What is special now: the last change of models failed, or the team's service does not answer."""
        completer = self._completer
        return self.problem or (completer.problem if isinstance(completer, RemoteCompleter) else None)

    @property
    def is_loading(self) -> bool:
        """Whether the loading thread is busy, even with a load that is no longer wanted."""
        return self._last_load is not None and not self._last_load.done()

    async def load(self, wanted: ModelChoice) -> CompleterLike | None:
        """Load a model in place of the present one; None if it is loaded already, or if a newer call came in between.

        Raises what the loader raises. The old model then stays, and the same call tries again.
        """
        if self._wanted == wanted:
            return None
        self._wanted, self.state = wanted, "loading"
        self._trial.cancel()  # the trial of a model that is no longer wanted, which may take a minute
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
        self.served = wanted
        self.serial += replaces
        if self._wanted == wanted:
            self._settle("ready", None)
        return completer

    def forget(self) -> None:
        """Forget the last choice, because its name now stands for another model. The same choice then loads again."""
        self._wanted = None

    async def wait(self, timeout_s: float) -> bool:
        """Whether there is a model. Waits at most ``timeout_s`` for the first one."""
        if not self._settled.is_set():
            try:
                await asyncio.wait_for(self._settled.wait(), max(timeout_s, 0.0))
            except TimeoutError:
                return False
        return self._completer is not None

    def complete(
        self, request: CompletionRequest, cancel: CancellationToken, on_text: Callable[[str], None] | None = None
    ) -> CompletionResult | None:
        """On the model's thread: complete with the present model; None if there is none any longer."""
        return None if self._completer is None else self._completer.complete(request, cancel, on_text)

    def read(self, request: CompletionRequest, cancel: CancellationToken, rest: float) -> None:
        """On the model's thread: let the present model read the context of an expected request."""
        if self._completer is not None:
            self._completer.read(request, cancel, rest)

    def keep_places(self, limit_bytes: int) -> None:
        """On the model's thread: limit the keys and values that the present model keeps."""
        if self._completer is not None:
            self._completer.keep_places(limit_bytes)

    def close(self, timeout_s: float) -> bool:
        """Free the model and end its thread; False if a model call is still running after ``timeout_s``.

        It does not wait for a running load, so `is_loading` may stay true.
        """
        self._trial.cancel()
        self._loading_thread.stop(0.0)
        self._thread.submit(lambda: self._replace(None))
        return self._thread.stop(timeout_s)

    def _settle(self, state: ModelState, problem: str | None) -> None:
        self.state, self.problem = state, problem
        self._settled.set()

    def _load_if_wanted(self, wanted: ModelChoice, trial: CancellationToken) -> CompleterLike | None:
        # Loads run one after the other. A load that was overtaken while it waited is skipped.
        if self._wanted != wanted:
            return None
        folder = self._find(wanted.model)
        try:
            self._probe(folder, trial)
        except Cancelled:
            return None
        local = self._load(folder, device=wanted.device, threads=wanted.threads)
        return local if wanted.remote is None else RemoteCompleter(local, wanted.remote)

    def _replace(self, completer: CompleterLike | None) -> None:
        before, self._completer = self._completer, completer
        if isinstance(before, RemoteCompleter):
            before.close()
        if before is not None:
            del before  # the last reference: this frees its memory
            give_back_free_memory()
