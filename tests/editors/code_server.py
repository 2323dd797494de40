"""VS Code as a server for a browser, from npm's package ``code-server``.

The package's own start script, password page and service worker are not needed. Its folder ``lib/vscode`` is VS Code
itself. Only the native modules that matter here are compiled: the log files, without which output channels stay empty,
and the watchdog that ends an extension host whose server has gone. That needs a C++ compiler, make and Python.
"""

import json
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.editors.installing import InstallError, cache_folder, run

VERSION = "4.139.1"
NODE = "24.21.0"
"""The major version of Node.js that this code-server needs. Its package holds the headers that native modules need."""
COMPILED = ("@vscode/spdlog", "@vscode/native-watchdog")
ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class CodeServer:
    """VS Code's server and the Node.js that runs it."""

    node: Path
    main: Path
    version: str
    """VS Code's own version."""


def find() -> CodeServer:
    """The one in the cache, which is made if it is not there.

    Raises:
        InstallError: it could not be installed.
    """
    architecture = ARCHITECTURES.get(platform.machine())
    if platform.system() != "Linux" or not architecture:
        raise InstallError(f"VS Code's server is fetched for Linux on {' and '.join(ARCHITECTURES)} only")
    node = f"node-linux-{architecture}"
    folder = cache_folder() / f"code-server-{VERSION}"
    if not folder.exists():
        _install(folder, node)
    vscode = folder / "node_modules/code-server/lib/vscode"
    version = json.loads((vscode / "package.json").read_text(encoding="utf-8"))["version"]
    return CodeServer(folder / "node_modules" / node / "bin/node", vscode / "out/server-main.js", version)


def _install(folder: Path, node: str) -> None:
    """Install beside ``folder`` and move it there at the end, so that an interrupted run leaves nothing."""
    for program, package in (("npm", "npm"), ("make", "make"), ("c++", "g++")):
        if not shutil.which(program):
            raise InstallError(f"{program} is missing, for VS Code's server: install the package {package}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        root = Path(scratch) / "installed"
        root.mkdir()
        (root / "package.json").write_text('{"private": true}', encoding="utf-8")
        run([*npm, f"{node}@{NODE}", f"code-server@{VERSION}"], folder=root)
        vscode = root / "node_modules/code-server/lib/vscode"
        run([*npm, "--omit=dev"], folder=vscode)
        headers = root / "node_modules" / node
        path = f"{headers / 'bin'}{os.pathsep}{os.environ['PATH']}"
        run(["npm", "rebuild", *COMPILED], {**os.environ, "PATH": path, "npm_config_nodedir": str(headers)}, vscode)
        for module in COMPILED:
            if not any((vscode / "node_modules" / module).glob("build/Release/*.node")):
                raise InstallError(f"npm compiled no {module}; does it leave out install scripts?")
        root.rename(folder)
