"""Emacs with eglot, which shows the classic list: the configuration of ``docs/editors.md``, with the bundled model.

The tests do not check which words the model finds, only that there is a list and what happens to its items.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.emacs import COMMAND, Editor, documented, editor
from tests.editors.programs import EMACS, Program

CONFIGURATION = documented(COMMAND)
# By default eglot asks for UTF-32, which Emacs counts in; other clients know UTF-16 only.
UTF_16 = """
(with-eval-after-load 'eglot
  (cl-defmethod eglot-client-capabilities :around ((_ t))
    (let ((all (cl-call-next-method)))
      (plist-put (plist-get all :general) :positionEncodings ["utf-16"])
      all)))
"""


@pytest.fixture(scope="module")
def emacs() -> Program:
    return EMACS.find()


@pytest.fixture(scope="module", params=["", UTF_16], ids=["utf-32", "utf-16"])
def shared(
    emacs: Program, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Editor]:
    with editor(emacs, tmp_path_factory.mktemp("emacs"), CONFIGURATION + request.param) as started:
        yield started


@pytest.fixture
def it(shared: Editor, request: pytest.FixtureRequest) -> Editor:
    """Each test has a file of its own."""
    shared.name = f"{re.sub(r'[^a-z]', '_', request.node.name)}.py"
    return shared


def accept(it: Editor) -> str:
    """The text after the first item was accepted, or after the common start of all items was inserted."""
    before = it.text()
    it.type("C-M-i")
    it.until(lambda: it.listed() or it.text() != before, "the list")
    if it.text() == before:
        it.type("M-Down", "M-Enter")
        it.until(lambda: it.text() != before, "the choice")
    return it.text()


def test_what_is_typed_is_completed(it: Editor):
    it.open("")
    it.wait_server()
    it.type("import nump")
    it.until(lambda: it.text() == "import nump", "what was typed")
    assert re.match(r"import nump\w", accept(it))


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_positions_and_line_ends(it: Editor, end: str):
    before = '# 😀 été\nx = "😀𝒳"; import os\ny = "名前😀", os.pa'
    it.open(before.replace("\n", end))
    it.wait_server()
    after = accept(it)
    assert after.startswith(before)
    assert "papa" not in after
    it.type("C-x", "C-s")
    it.until(lambda: it.path().read_bytes().decode().rstrip() == after.replace("\n", end), "the saved file")


def test_what_stands_behind_the_cursor_stays(it: Editor):
    it.open("import os\n\nif os.pa:\n    pass\n")
    it.wait_server()
    it.lisp('(progn (goto-char (point-min)) (search-forward "os.pa") nil)')
    after = accept(it)
    assert after.startswith("import os\n\nif os.pa")
    assert after.endswith(":\n    pass\n")
    assert after.count("pa") == 2


def test_a_crash_is_made_up_for(it: Editor):
    it.open("import o")
    it.wait_server()
    pid = it.server_pid()
    assert pid
    # Eglot does not restart a server that it connected to less than three seconds ago.
    it.until(lambda: it.lisp("(if (eglot--inhibit-autoreconnect (eglot-current-server)) :false t)"), "three seconds")
    os.kill(pid, signal.SIGKILL)
    it.until(lambda: it.server_pid() not in (None, pid), "the second start")
    it.wait_server()
    assert accept(it).startswith("import o")


def test_a_missing_server(emacs: Program, tmp_path: Path):
    with editor(emacs, tmp_path, documented(["no-such-server", "serve"])) as it:
        it.open("import o")
        it.until(lambda: "Searching for program: No such file or directory, no-such-server" in it.told(), "the message")


def test_a_server_that_ends_at_start(emacs: Program, tmp_path: Path):
    server = [sys.executable, "-c", "raise SystemExit('I am something else')"]
    with editor(emacs, tmp_path, documented(server)) as it:
        it.open("import o")
        it.until(lambda: "Server exited with status 1" in it.told(), "the message")


def test_a_model_folder_that_does_not_exist(emacs: Program, tmp_path: Path):
    model = str(tmp_path / "none")
    with editor(emacs, tmp_path, documented(COMMAND, f":model {json.dumps(model)}")) as it:
        it.open("import o")
        it.until(lambda: f"there are no completions: no model folder at {model}" in it.told(), "the server's message")


def test_a_setting_that_does_not_exist(emacs: Program, tmp_path: Path):
    with editor(emacs, tmp_path, documented(COMMAND, ":budgetMs 30000 :minConfidence 0 :nonsense 1")) as it:
        it.open("import o")
        it.until(lambda: "unknown setting 'nonsense'" in it.told(), "the server's message")
        it.wait_server()
        assert accept(it).startswith("import o")
