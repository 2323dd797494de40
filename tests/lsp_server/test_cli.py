"""The command line as a whole: usage, help, streams, exit status."""

import os
import re
import signal
import subprocess
import sys

import pytest

from engine import MidtokenError, RequestError
from lsp_server.cli import COMMANDS
from tests.lsp_server.commands.command_line import (
    ROOT,
    Outcome,
    StubCompleter,
    forget_settings,
    install,
    run,
    run_process,
    start,
)

pytestmark = pytest.mark.usefixtures("_no_settings")

MORE_THAN_A_PIPE_HOLDS = 1 << 20


@pytest.fixture
def _no_settings(monkeypatch):
    forget_settings(monkeypatch)


@pytest.fixture
def stub(monkeypatch):
    return install(monkeypatch, StubCompleter("ort os"))


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "document.py"
    path.write_text("imp", encoding="utf-8")
    return path


def test_help_lists_every_command_with_an_example(capsys):
    outcome = run(capsys, "--help")
    assert outcome.status == 0
    assert outcome.err == ""
    assert "midtoken complete src/app.py:10:18" in outcome.out
    for name, summary in COMMANDS.items():
        assert re.search(rf"^ +{name} +{summary}", outcome.out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(capsys, command):
    outcome = run(capsys, command, "--help")
    assert outcome.status == 0
    assert re.search(rf"^examples?:\n  .*midtoken {command}", outcome.out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(capsys, command):
    # argparse puts an option without a help text on a line of its own with nothing below it.
    text = run(capsys, command, "--help").out
    lines = text[text.index("options:") :].splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if re.match(r"  -", line):
            assert re.search(r"\S   *\S", line.strip()) or following.startswith(" " * 10), line


def test_the_version_is_shown(capsys):
    outcome = run(capsys, "--version")
    assert outcome.status == 0
    assert outcome.out.startswith("midtoken ")


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("nonsense",), ()])
def test_what_needs_no_model_loads_no_model(arguments):
    script = (
        "import sys; from lsp_server.cli import main; main(sys.argv[1:]);"
        "sys.exit(any(name in sys.modules for name in ('onnxruntime', 'pygls', 'numpy', 'engine', 'torch')))"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_completing_loads_no_server_and_no_torch(capsys):
    script = (
        "import sys; from lsp_server.cli import main; main(['complete', '--help']);"
        "sys.exit(any(name in sys.modules for name in ('pygls', 'lsprotocol', 'torch', 'asyncio')))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0


def test_no_command_is_wrong_usage(capsys):
    outcome = run(capsys)
    assert outcome.status == 2
    assert "COMMAND" in outcome.error
    assert outcome.error.endswith("see 'midtoken --help'")


def test_an_unknown_command_is_wrong_usage(capsys):
    outcome = run(capsys, "compleet")
    assert outcome.status == 2
    assert "'compleet'" in outcome.error


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_wrong_usage(capsys, command):
    outcome = run(capsys, command, "--frobnicate")
    assert outcome.status == 2
    assert "see 'midtoken" in outcome.error


def test_options_are_not_abbreviated(capsys, document, stub):
    # An abbreviation that works today breaks a script when a second option with the same beginning is added.
    outcome = run(capsys, "complete", f"{document}:1:4", "--temp", "1")
    assert outcome.status == 2
    assert "--temp" in outcome.error


@pytest.mark.parametrize(
    ("error", "status"), [(MidtokenError("broken\n  twice"), 1), (RequestError("top_p is 7\nno"), 2)]
)
def test_errors_are_one_line(capsys, monkeypatch, document, stub, error, status):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(stub, "complete", fail)
    outcome = run(capsys, "complete", f"{document}:1:4")
    assert outcome.status == status
    assert outcome.error == " ".join(str(error).split())


def test_bugs_are_not_hidden(capsys, monkeypatch, document, stub):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(stub, "complete", fail)
    with pytest.raises(ZeroDivisionError):
        run(capsys, "complete", f"{document}:1:4")


def test_an_interrupt_is_one_line(capsys, monkeypatch, document, stub):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(stub, "complete", interrupt)
    assert run(capsys, "complete", f"{document}:1:4") == Outcome(130, "", "midtoken: interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_an_interrupted_process_leaves_no_traceback(tmp_path):
    with start(["complete", "--prefix-file", "-"], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b" " * MORE_THAN_A_PIPE_HOLDS)
        process.stdin.flush()  # returns when the process reads
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == b"midtoken: interrupted\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no broken pipes of this kind")
@pytest.mark.parametrize("arguments", [["--help"], ["complete", "--help"]])
def test_a_reader_that_leaves_is_no_error(arguments):
    with start(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_output_is_utf_8_whatever_the_locale_says():
    outcome = run_process(["complete", "no-such-ファイル.py:1:1"], env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert outcome.status == 1
    assert "no-such-ファイル.py" in outcome.err


def test_a_closed_standard_output_is_no_crash():
    outcome = run_process(["--version"], stdout=None, preexec_fn=lambda: os.close(1))
    assert outcome == Outcome(0, "", "")
