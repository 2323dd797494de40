import os
import subprocess
import sys
import threading

from lsp_server.watchdog import process_is_alive, watch_parent


def test_our_own_process_lives_and_an_ended_one_does_not():
    assert process_is_alive(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert not process_is_alive(process.pid)
    assert not process_is_alive(0)
    assert not process_is_alive(2**64)


def test_the_death_of_the_parent_is_noticed_once():
    died, lives = threading.Event(), threading.Event()
    lives.set()
    stop = watch_parent(4711, died.set, interval_s=0.005, is_alive=lambda _: lives.is_set())
    assert stop is not None
    assert not died.wait(0.03)
    lives.clear()
    assert died.wait(5)


def test_watching_can_be_stopped():
    died, lives = threading.Event(), threading.Event()
    lives.set()
    stop = watch_parent(4711, died.set, interval_s=0.005, is_alive=lambda _: lives.is_set())
    assert stop is not None
    stop.set()
    lives.clear()
    assert not died.wait(0.05)


def test_a_process_that_cannot_be_seen_is_not_watched():
    assert watch_parent(4711, lambda: None, is_alive=lambda _: False) is None
