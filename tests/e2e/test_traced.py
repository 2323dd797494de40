"""Nothing leaves the machine and nothing is left behind: the system calls of each way to start Midtoken.

Every system call that could send or write is traced: looking up a name, connecting, creating a file. The tests need
`strace` (Debian's package of that name) and the right to trace one's own processes.
"""

from pathlib import Path

import pytest

from tests.e2e.clients import ROOT
from tests.e2e.test_process import EXIT, SHUTDOWN, completion, initialize
from tests.tracing import assert_private, traced

__all__ = ["traced"]

WAYS_IN = {
    "the Python API": "from engine import Completer; Completer.load()",
    "the command line": "from lsp_server.cli import main; main(['complete', '--prefix-file', 'a.py'])",
    "a model folder looked at": "from lsp_server.cli import main; main(['inspect'])",
    "the tokenizers": "import tokenizers; tokenizers.Tokenizer.from_file(__import__('sys').argv[1])",
}


@pytest.mark.parametrize("program", WAYS_IN.values(), ids=WAYS_IN.keys())
def test_every_way_in_keeps_to_itself(program, traced):
    tokenizer = str(ROOT / "engine" / "bundled" / "tokenizer.json")
    lines, done = traced("-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}", tokenizer)
    assert done.returncode == 0, done.stderr.decode()
    assert_private(lines)


def test_a_session_of_the_server_keeps_to_itself(traced):
    data = initialize() + completion(["import os", "os.pa"][0]) + SHUTDOWN + EXIT
    lines, done = traced("-m", "lsp_server", "serve", data=data)
    assert done.returncode == 0, done.stderr.decode()
    assert_private(lines)


def test_the_tracer_would_see_it(traced):
    program = (
        "import socket, pathlib; pathlib.Path('x').touch(); "
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    )
    lines, _ = traced("-c", program)
    with pytest.raises(AssertionError):
        assert_private(lines)
    assert any("AF_INET" in line for line in lines)
    assert any("O_CREAT" in line and '"x"' in line for line in lines)


def test_it_is_not_left_to_chance_whether_this_is_run() -> None:
    """The project's own run installs the tracer where it can, so these tests are not skipped by chance."""
    assert "strace" in (Path(ROOT) / ".ci" / "run").read_text(encoding="utf-8")
