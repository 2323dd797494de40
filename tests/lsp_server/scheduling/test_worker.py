import threading
import time
import weakref

import pytest

from lsp_server.scheduling.worker import ModelThread


def test_jobs_run_in_order_and_a_cancelled_one_never_starts():
    worker, gate, seen = ModelThread(), threading.Event(), []
    worker.submit(gate.wait)
    second = worker.submit(lambda: seen.append("second"))
    third = worker.submit(lambda: seen.append("third"))
    assert second.cancel()
    gate.set()
    third.result(timeout=5)
    assert seen == ["third"]
    assert worker.stop(timeout_s=5)


def test_an_exception_arrives_and_the_thread_goes_on():
    worker = ModelThread()
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 // 0).result(timeout=5)
    assert worker.submit(lambda: 7).result(timeout=5) == 7
    assert worker.stop(timeout_s=5)


def test_what_is_no_exception_arrives_as_one():
    class PanicException(BaseException):  # as the bindings of a Rust library raise it
        pass

    def panic() -> None:
        raise PanicException("text of a document")

    worker = ModelThread()
    with pytest.raises(RuntimeError, match=r"^PanicException in a library$"):
        worker.submit(panic).result(timeout=5)
    assert worker.stop(timeout_s=5)


def test_nothing_of_a_job_stays_with_the_thread():
    worker = ModelThread()
    future = worker.submit(ModelThread)  # anything that allows weak references
    found = weakref.ref(future.result(timeout=5))
    future.result().stop(timeout_s=5)
    del future
    ended = time.monotonic() + 5
    while found() is not None and time.monotonic() < ended:
        time.sleep(0.001)
    assert found() is None
    assert worker.stop(timeout_s=5)


def test_a_job_that_does_not_end_is_reported():
    worker, gate = ModelThread(), threading.Event()
    worker.submit(gate.wait)
    assert not worker.stop(timeout_s=0.01)
    gate.set()
    assert worker.stop(timeout_s=5)
