"""A window of VS Code that a test drives: its page in a real browser, and its extension host over a socket.

A test types and reads in the page, as a user does. It asks the extension host for what only an extension can know:
``it.run('return vscode.window.activeTextEditor.document.getText()')``.
"""

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import Page

TIMEOUT_S = 90.0
QUIET = {
    "chat.disableAIFeatures": True,
    "extensions.autoCheckUpdates": False,
    "extensions.autoUpdate": False,
    "git.enabled": False,
    "security.workspace.trust.enabled": False,
    "telemetry.telemetryLevel": "off",
    "update.mode": "none",
    "editor.fontFamily": "DejaVu Sans Mono",
    "editor.minimap.enabled": False,
    "editor.quickSuggestions": {"other": "off", "comments": "off", "strings": "off"},
    "window.menuBarVisibility": "hidden",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.enableExperiments": False,
    "workbench.settings.enableNaturalLanguageSearch": False,
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
}
"""Settings that stop what would call a service or cover the text."""
SETTINGS = {
    "midtoken.server.python": sys.executable,
    # A busy machine may be slow; an answer cut short by the budget would be a different answer.
    "midtoken.budgetMs": 30_000,
    "midtoken.device": "cpu",
    "midtoken.multiLine": False,
}

EXTENSION = "vscode.extensions.getExtension('midtoken.midtoken')"
BAR = '.statusbar-item[id="midtoken.midtoken.midtoken.status"]'

Result = TypeVar("Result")


class Code:
    """What a test can do with a window of VS Code, and what it can see."""

    def __init__(self, page: Page, host: "Host", folder: Path, settings: tuple[Path, Path]) -> None:
        self.page = page
        self.folder = folder
        self._host = host
        self._settings = settings
        self._opened = 0

    def run(self, code: str, *args: object) -> Any:
        """The value that a function of JavaScript with this body returns in the extension host.

        Raises:
            RuntimeError: it threw.
        """
        return self._host.ask(code, args)

    def until(self, look: Callable[[], Result], what: str, timeout_s: float = TIMEOUT_S) -> Result:
        """Return the first true value of ``look``."""
        end = time.monotonic() + timeout_s
        while not (seen := look()):
            assert time.monotonic() < end, f"{what} did not happen; {self.state()}"
            self.page.wait_for_timeout(50)
        return seen

    def state(self) -> dict[str, object]:
        """The state, for the message of a failure; a picture is saved beside the test's files."""
        self.page.screenshot(path=self.folder.parent / "failure.png")
        return {"told": self.told(), "status": self.status(), "text": self.text(), "ghost": self.ghost()}

    def command(self, name: str, *args: object) -> Any:
        """Run a command and return its result."""
        return self.run("return vscode.commands.executeCommand(...args)", name, *args)

    def begin(self, name: str, *args: object) -> None:
        """Run a command that waits for the user."""
        self.run("vscode.commands.executeCommand(...args)", name, *args)

    def open(self, text: str, name: str = "a.py") -> None:
        """Open a new file with this text in the editor, with the cursor at its end."""
        self._opened += 1  # VS Code may remember one that was closed just now
        path = self.folder / str(self._opened) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
        self.show(path)

    def show(self, path: Path) -> None:
        """Show the file in the editor, with the cursor at its end."""
        self.run(
            """const editor = await vscode.window.showTextDocument(vscode.Uri.file(args[0]), { preview: false });
            const end = editor.document.lineAt(editor.document.lineCount - 1).range.end;
            editor.selection = new vscode.Selection(end, end);
            await vscode.commands.executeCommand('workbench.action.focusActiveEditorGroup');""",
            str(path),
        )
        self.page.wait_for_selector(".editor-instance .monaco-editor.focused", timeout=TIMEOUT_S * 1000)

    def type(self, keys: str) -> None:
        self.page.keyboard.type(keys)

    def press(self, key: str) -> None:
        """Press a key, named as in Playwright: ``Tab``, ``Control+ArrowRight``."""
        self.page.keyboard.press(key)

    def text(self) -> str | None:
        text: str | None = self.run("return vscode.window.activeTextEditor?.document.getText()")
        return text

    def ghost(self) -> str:
        """The grey text in the page, including the lines below."""
        parts = "[...document.querySelectorAll('[class*=ghost-text-decoration]')].map((span) => span.textContent)"
        lines = (
            "[...document.querySelectorAll('.suggest-preview-text .view-line')].map((line) => '\\n' + line.textContent)"
        )
        return _plain(self.page.evaluate(f"[...{parts}, ...{lines}].join('')"))

    def wait_ghost(self) -> str:
        return self.until(self.ghost, "ghost text")

    def texts(self, selector: str) -> list[str]:
        """The texts of the elements that the selector finds in the page."""
        texts = f"[...document.querySelectorAll({json.dumps(selector)})].map((found) => found.textContent)"
        return [_plain(text).strip() for text in self.page.evaluate(texts)]

    def told(self) -> list[str]:
        """The notifications on the screen."""
        return self.texts(".notification-list-item-message")

    def wait_told(self, part: str) -> str:
        """Wait for a notification with this text and return it."""
        found = self.until(lambda: [text for text in self.told() if part in text], f"the message {part!r}")
        return found[0]

    def bar(self) -> str:
        """The text of our item in the status bar; empty if there is none."""
        return " ".join(self.texts(BAR))

    def status(self) -> dict[str, Any]:
        """The server's state as the extension knows it; empty before it is activated."""
        status: dict[str, Any] | None = self.run(f"return {EXTENSION}?.exports?.status()")
        return status or {}

    def wait_ready(self) -> None:
        """Wait until the server says that a model is loaded."""
        self.until(lambda: self.status().get("state") == "ready" and self.status().get("model"), "the server's start")

    @contextmanager
    def restarting(self) -> Iterator[None]:
        """In this context, the test does something that makes the extension restart its server."""
        before = self.server_pid()
        yield
        self.until(lambda: self.server_pid() not in (None, before), "the new server")
        self.wait_ready()

    def manifest(self) -> dict[str, Any]:
        """The extension's package.json."""
        manifest: dict[str, Any] = self.run(f"return {EXTENSION}.packageJSON")
        return manifest

    def setting(self, name: str, language: str | None = None) -> Any:
        """The value of a setting that is in effect."""
        return self.run(
            "return vscode.workspace.getConfiguration('', { languageId: args[1] }).get(args[0])", name, language
        )

    def settings(self, wanted: Mapping[str, object]) -> None:
        """Make these the user's settings. All other ones, also those for a language, are removed."""
        before = {name: value for path in self._settings for name, value in json.loads(path.read_text("utf-8")).items()}
        after = {**QUIET, **wanted}
        for name in {**before, **after}:
            if name.startswith("["):
                for inner in before[name]:
                    self._update(inner, None, name.strip("[]"))
            elif before.get(name) != after.get(name):
                self._update(name, after.get(name))

    def _update(self, name: str, value: object, language: str | None = None) -> None:
        self.run(
            """const [name, value, languageId] = args;
            const configuration = vscode.workspace.getConfiguration('', languageId ? { languageId } : null);
            await configuration.update(name, value ?? undefined, vscode.ConfigurationTarget.Global, !!languageId);""",
            name,
            value,
            language,
        )

    def server_pid(self) -> int | None:
        """The id of Midtoken's process, if one runs."""
        host = self.run("return process.pid")
        for children in Path(f"/proc/{host}/task").glob("*/children"):
            for pid in children.read_text(encoding="utf-8").split():
                if b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    return int(pid)
        return None


def _plain(text: object) -> str:
    """Text with ordinary spaces. VS Code's pages use non-breaking ones."""
    return str(text).replace("\N{NO-BREAK SPACE}", " ")


class Host:
    """The driver in the extension host of one window."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(TIMEOUT_S)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r", encoding="utf-8")

    def ask(self, code: str, args: tuple[object, ...]) -> Any:
        self._socket.sendall(f"{json.dumps({'code': code, 'args': args})}\n".encode())
        answer = json.loads(self._lines.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def close(self) -> None:
        self._lines.close()
        self._socket.close()
