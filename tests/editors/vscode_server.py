"""VS Code's server with the packaged extension, and a browser that shows its windows."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

from tests.editors.code_server import CodeServer
from tests.editors.programs import Program
from tests.editors.vscode import QUIET, SETTINGS, TIMEOUT_S, Code, Host

DRIVER = Path(__file__).parent / "driver"
BROWSER_OPTIONS = [
    "--no-sandbox",  # otherwise it does not start as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# Settings of these scopes belong to the machine on which the extension runs, in a file beside the user's settings.
MACHINE = ("midtoken.server.", "midtoken.model", "midtoken.device")


@dataclass(frozen=True, slots=True)
class Installation:
    """VS Code with the extensions of a test. It is made once and used by many windows."""

    vscode: CodeServer
    extensions: Path


def install(vscode: CodeServer, vsix: Path, folder: Path) -> Installation:
    """Install the packaged extension into ``folder``, by VS Code's own installer, and the driver."""
    extensions = folder / "extensions"
    extensions.mkdir()
    _command_line(vscode, folder, extensions, "--install-extension", str(vsix))
    shutil.copytree(DRIVER, extensions / "midtoken-tests.driver-0.0.1")
    (extensions / "extensions.json").unlink()  # the list of installed extensions: it is made again from the folders
    return Installation(vscode, extensions)


def _command_line(vscode: CodeServer, folder: Path, extensions: Path, *arguments: str) -> None:
    command = [str(vscode.node), str(vscode.main), "--extensions-dir", str(extensions)]
    data = ["--server-data-dir", str(folder / "data"), "--user-data-dir", str(folder / "data/data")]
    environment = {**os.environ, "HOME": str(folder)}
    subprocess.run([*command, *data, *arguments], check=True, capture_output=True, env=environment, timeout=TIMEOUT_S)


class Server:
    """A running server of VS Code with user data of its own. Each of its windows is a page of the browser."""

    def __init__(self, browser: Browser, port: int, folder: Path, sockets: Path) -> None:
        self._browser = browser
        self._port = port
        self._sockets = sockets
        self.folder = folder
        self.logs = folder / "data/data/logs"

    @contextmanager
    def window(self, workspace: Path | None = None, size: tuple[int, int] = (1000, 640)) -> Iterator[Code]:
        opened = workspace or self.folder / "workspace"
        opened.mkdir(exist_ok=True)
        before = set(self._sockets.iterdir())
        page = self._browser.new_page(viewport={"width": size[0], "height": size[1]})
        try:
            page.goto(f"http://127.0.0.1:{self._port}/?folder={quote(str(opened))}")
            page.wait_for_selector(".monaco-workbench", timeout=TIMEOUT_S * 1000)
            host = Host(self._wait_socket(page, before))
            try:
                yield Code(page, host, opened, _settings_files(self.folder))
            finally:
                host.close()
        finally:
            page.close()

    def _wait_socket(self, page: Page, before: set[Path]) -> Path:
        end = time.monotonic() + TIMEOUT_S
        while not (new := set(self._sockets.iterdir()) - before):
            assert time.monotonic() < end, "the extension host did not start"
            page.wait_for_timeout(50)
        return new.pop()


def _settings_files(folder: Path) -> tuple[Path, Path]:
    """The user's, and the machine's."""
    return folder / "data/data/User/settings.json", folder / "data/data/Machine/settings.json"


def write_settings(files: tuple[Path, Path], settings: Mapping[str, object]) -> None:
    for path, of_machine in zip(files, (False, True), strict=True):
        part = {name: value for name, value in settings.items() if name.startswith(MACHINE) is of_machine}
        path.write_text(json.dumps(part), encoding="utf-8")


@contextmanager
def browser(program: Program) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        environment = {**os.environ, **program.environment}
        started = playwright.chromium.launch(
            executable_path=program.path, args=BROWSER_OPTIONS, env=environment, timeout=TIMEOUT_S * 1000
        )
        try:
            yield started
        finally:
            started.close()


@contextmanager
def server(
    installation: Installation,
    browser: Browser,
    folder: Path,
    settings: Mapping[str, object],
    prefix: Sequence[str] = (),
) -> Iterator[Server]:
    """VS Code's server with ``settings`` as the user's settings and ``folder`` as the home of everything it writes.

    ``prefix`` goes before its command. Extensions get the environment that this process has now.
    """
    for path in _settings_files(folder):
        path.parent.mkdir(parents=True)
    write_settings(_settings_files(folder), {**QUIET, **settings})
    # VS Code takes the path from a login shell.
    (folder / ".profile").write_text(f"export PATH={shlex.quote(os.environ['PATH'])}\n", encoding="utf-8")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MIDTOKEN_", "VSCODE_"))}
    with tempfile.TemporaryDirectory(prefix="midtoken-") as short:  # the path of a socket has at most 107 bytes
        command = [str(installation.vscode.node), str(installation.vscode.main), "--host", "127.0.0.1", "--port", "0"]
        options = ["--without-connection-token", "--accept-server-license-terms", "--telemetry-level", "off"]
        data = ["--server-data-dir", str(folder / "data"), "--user-data-dir", str(folder / "data/data")]
        extensions = ["--extensions-dir", str(installation.extensions)]
        # These tests do not check which guesses the model is sure of.
        own = {"HOME": str(folder), "EDITOR_TEST_SOCKETS": short, "MIDTOKEN_MIN_CONFIDENCE": "0"}
        log = folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*prefix, *command, *options, *data, *extensions],
                env={**ours, **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield Server(browser, _port(process, log), folder, Path(short))
        finally:
            # On its own it would wait hours for windows that may come back. Its extension hosts are in its process
            # group.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(TIMEOUT_S)


def _port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    end = time.monotonic() + TIMEOUT_S
    while not (match := re.search(r"listening on (\d+)", log.read_text(encoding="utf-8"))):
        running = process.poll() is None and time.monotonic() < end
        assert running, f"VS Code's server did not start: {log.read_text(encoding='utf-8')}"
        time.sleep(0.05)
    return int(match[1])


Workbench = Callable[..., AbstractContextManager[Server]]
"""Starts VS Code: calls ``server`` with its last two arguments."""


@contextmanager
def opened(workbench: Workbench, settings: Mapping[str, object]) -> Iterator[Code]:
    """A window in which a Python file was opened. The settings name no server except the given ones."""
    kept = {name: value for name, value in SETTINGS.items() if name != "midtoken.server.python"}
    with workbench({**kept, **settings}) as server, server.window() as it:
        it.open("import ")
        yield it
