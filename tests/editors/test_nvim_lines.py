"""Ghost text of several lines in Neovim, from the real server and the bundled model, with both kinds of line break."""

from collections.abc import Iterator

import pytest

from tests.editors.neovim import SETTINGS, Editor, configuration, editor
from tests.editors.programs import Program

TEXT = "x = 1\n\n\nif __na"


@pytest.fixture(scope="module")
def window(neovim: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    init = configuration(settings={**SETTINGS, "multiLine": True})
    with editor(neovim, tmp_path_factory.mktemp("neovim"), init) as started:
        yield started


@pytest.fixture(params=["unix", "dos"])
def it(window: Editor, request: pytest.FixtureRequest) -> Editor:
    """Ghost text of several lines at the end of `TEXT`, in a file with these line breaks."""
    window.type("<Esc>")
    window.until(lambda: window.mode() == "n", "normal mode")
    window.nvim.command("silent %bwipeout!")
    window.open(TEXT if request.param == "unix" else TEXT.replace("\n", "\r\n"))
    assert window.nvim.current.buffer.options["fileformat"] == request.param
    window.insert_at_end()
    window.until(lambda: "\n" in window.ghost(), "the lines below")
    return window


def test_it_is_shown_without_carriage_returns(it: Editor):
    assert "\r" not in it.ghost()


@pytest.mark.parametrize("accept", ["require('midtoken').accept()", "vim.lsp.inline_completion.get()"])
def test_it_is_accepted_with_the_line_breaks_of_the_file(it: Editor, accept: str):
    whole = TEXT + it.ghost()
    assert it.lua(f"return {accept}")
    it.until(lambda: it.text() == whole, f"the text {whole!r}")
    line_break = {"unix": "\n", "dos": "\r\n"}[str(it.nvim.current.buffer.options["fileformat"])]
    it.nvim.command("write")
    assert (it.folder / "a.py").read_bytes().decode() == f"{whole}\n".replace("\n", line_break)


def test_line_by_line(it: Editor):
    first, _, _ = it.ghost().partition("\n")
    assert it.lua("return require('midtoken').accept_line()")
    it.until(lambda: it.text() == TEXT + first, "the first line")
    rest = it.until(it.ghost, "the rest")
    assert rest.startswith("\n")
    assert it.lua("return require('midtoken').accept()")
    it.until(lambda: it.text() == TEXT + first + rest, "the rest")


def test_what_is_accepted_is_counted_and_kept(it: Editor):
    statistics = """local client = vim.lsp.get_clients({ bufnr = 0, name = 'midtoken' })[1]
    return client:request_sync('workspace/executeCommand', { command = 'midtoken.server.statistics' }).result"""
    before = it.lua(statistics)
    lines = it.ghost().count("\n")
    characters = len(it.ghost()) + lines * (it.nvim.current.buffer.options["fileformat"] == "dos")
    it.lua("require('midtoken').accept()")
    it.until(lambda: it.lua(statistics)["accepted"] == before["accepted"] + 1, "the acceptance")
    after = it.lua(statistics)
    assert after["acceptedCharacters"] == before["acceptedCharacters"] + characters
    assert after["keptCharacters"] == before["keptCharacters"] + characters
