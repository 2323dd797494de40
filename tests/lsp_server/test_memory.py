import ctypes
import sys

import numpy as np
import psutil
import pytest

from lsp_server.memory import available_bytes, give_back_free_memory, resident_bytes


def test_the_memory_of_this_process():
    size = resident_bytes()
    assert size is not None
    assert 1_000_000 < size < 100_000_000_000


def test_the_memory_that_is_left():
    left = available_bytes()
    assert left is not None
    assert left > 1_000_000


@pytest.mark.parametrize("ask", [resident_bytes, available_bytes])
def test_where_the_system_does_not_say_it_is_not_known(monkeypatch, ask):
    def refuse(*_: object) -> object:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "Process", refuse)
    monkeypatch.setattr(psutil, "virtual_memory", refuse)
    assert ask() is None


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc only")
def test_what_was_freed_between_what_is_kept_goes_back():
    # Blocks too small for mappings of their own. The blocks that stay prevent the heap from shrinking by itself.
    blocks = [np.ones(12_000, np.int64) for _ in range(400)]
    kept = blocks[::40]
    del blocks
    before = resident_bytes()
    give_back_free_memory()
    after = resident_bytes()
    assert before is not None
    assert after is not None
    assert after <= before - 10_000_000
    assert all(block[0] == 1 for block in kept)


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_other_c_libraries_are_left_alone(monkeypatch, error):
    def refuse(_: object) -> object:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    give_back_free_memory()
