"""One window of VS Code, shared by the tests of a module, and what they do in it."""

from collections.abc import Iterator

import pytest

from tests.editors.vscode import SETTINGS, Code
from tests.editors.vscode_server import Workbench

METHOD = "import os\n\n\ndef first(self):\n    ret"
NAME = "class A:\n    def __init__(self, name):\n        self.na"


@pytest.fixture(scope="module")
def window(workbench: Workbench) -> Iterator[Code]:
    with workbench(SETTINGS) as server, server.window() as started:
        started.open("")
        started.wait_ready()
        yield started


@pytest.fixture
def it(window: Code) -> Iterator[Code]:
    """The shared window with nothing open, no message on the screen, and the original settings."""
    yield window
    window.press("Escape")
    window.run(
        """await vscode.commands.executeCommand('workbench.action.revertAndCloseActiveEditor');
        await vscode.commands.executeCommand('workbench.action.closeAllEditors');
        await vscode.commands.executeCommand('workbench.action.closePanel');
        await vscode.commands.executeCommand('notifications.clearAll');"""
    )
    window.settings(SETTINGS)
    window.wait_ready()


def start(it: Code, text: str, name: str = "a.py") -> str:
    """Ghost text after ``text``, whose last character is typed."""
    it.open(text[:-1], name)
    it.type(text[-1])
    return it.wait_ghost()


def wait_text(it: Code, text: str) -> None:
    it.until(lambda: it.text() == text, f"the text {text!r}")
