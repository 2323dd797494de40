import os
import sys
import threading

import psutil
import pytest

from lsp_server.scheduling.priority import NICENESS, give_way
from lsp_server.scheduling.worker import ModelThread


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_the_models_thread_and_those_it_starts_give_way_and_no_other_does():
    before, of_a_child = niceness(), []
    thread = ModelThread(begin=give_way)

    def work():
        child = threading.Thread(target=lambda: of_a_child.append(niceness()))
        child.start()
        child.join()
        return niceness()

    assert thread.submit(work).result(5) == max(before, NICENESS)
    assert of_a_child == [max(before, NICENESS)]
    assert niceness() == before
    assert thread.stop(5)


def test_where_it_is_not_allowed_nothing_happens(monkeypatch):
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "getpriority", refuse)
    give_way()


def test_elsewhere_the_whole_process_gives_way(monkeypatch):
    asked: list[int] = []

    class Process:
        def nice(self, value: int | None = None) -> int:
            if value is not None:
                asked.append(value)
            return 0

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(psutil, "Process", Process)
    give_way()
    assert asked == [NICENESS]
