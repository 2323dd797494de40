"""Requests to llama.cpp's server, with a stand-in that has no model."""

import pytest

from benchmarks.llama_cpp import cores, post
from tests.benchmarks.fake_llama_server import served


def test_each_request_is_answered_whatever_the_server_did_with_the_connection_before():
    server = served("x = 1\ny = 2\n")
    try:
        for _ in range(2):
            answer = post(server.server_port, "/infill", {"input_prefix": "x =", "prompt": ""})
            assert answer["content"] == " 1"
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(OSError, match="refused"):
        post(server.server_port, "/infill", {})


def test_this_machine_has_a_core():
    assert cores() >= 1
