"""Threads that do one job at a time: one runs the model, another loads the next model."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class ModelThread:
    """Runs jobs one at a time, in order. A job whose future is cancelled before its turn never starts.

    It is a daemon thread, and unlike threads of `concurrent.futures` it is not joined at interpreter exit: a stuck
    model call must not keep a server alive whose editor is gone.
    """

    def __init__(self, name: str = "midtoken-model", begin: Callable[[], None] = lambda: None) -> None:
        """``begin`` is called first on the new thread."""
        self._begin = begin
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Queue a job; its result or exception arrives in the future."""
        future: Future[T] = Future()
        self._jobs.put((future, job))
        return future

    def stop(self, timeout_s: float) -> bool:
        """Let the thread end after the jobs that are queued; False if it is still busy after ``timeout_s``."""
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._begin()
        while (entry := self._jobs.get()) is not None:
            future, job = entry
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except Exception as error:
                future.set_exception(error)
            except BaseException as error:  # a panic of a library: those who wait catch only an Exception
                future.set_exception(RuntimeError(f"{type(error).__name__} in a library"))
            del entry, future, job  # a job holds a whole document, its result may be a whole model
