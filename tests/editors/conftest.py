"""Tests in real editors, with a command of their own: ``python -m pytest tests/editors``.

They download editors and take minutes. So a plain ``python -m pytest`` leaves them out, and they run only when they are
named. For the same reason, nothing is imported here that the other tests do not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.editors.neovim import Editor
    from tests.editors.programs import Program
    from tests.editors.vscode_server import Installation, Server, Workbench

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = (Path(config.invocation_params.dir, argument.split("::")[0]).resolve() for argument in config.args)
    return None if any(path.is_relative_to(HERE) for path in named) else True


@pytest.fixture(scope="session")
def neovim() -> Program:
    from tests.editors.programs import NEOVIM

    return NEOVIM.find()


@pytest.fixture(scope="module")
def shared(neovim: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """One editor with the two lines of configuration that are enough, shared by the tests of a module."""
    from tests.editors.neovim import configuration, editor

    with editor(neovim, tmp_path_factory.mktemp("neovim"), configuration()) as started:
        yield started


@pytest.fixture
def empty(shared: Editor) -> Editor:
    """The shared editor with nothing open."""
    shared.type("<Esc>")
    shared.until(lambda: shared.mode() == "n", "normal mode")
    shared.nvim.command("silent %bwipeout!")
    shared.lua("_G.told = {}")
    return shared


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from tests.editors.programs import BROWSER
    from tests.editors.vscode_server import browser

    with browser(BROWSER.find()) as started:
        yield started


@pytest.fixture(scope="session")
def vsix() -> Path:
    """The packaged extension of this checkout."""
    [*found] = (HERE.parents[1] / "vscode-client").glob("midtoken-*.vsix")
    assert len(found) == 1, "there has to be one vscode-client/midtoken-VERSION.vsix: 'make test-editors' makes it"
    return found[0]


@pytest.fixture(scope="session")
def installation(vsix: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    from tests.editors import code_server
    from tests.editors.vscode_server import install

    return install(code_server.find(), vsix, tmp_path_factory.mktemp("vscode"))


@pytest.fixture(scope="session")
def workbench(installation: Installation, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    from tests.editors.vscode_server import server

    def start(settings: Mapping[str, object], prefix: Sequence[str] = ()) -> AbstractContextManager[Server]:
        return server(installation, browser, tmp_path_factory.mktemp("code"), settings, prefix)

    return start
