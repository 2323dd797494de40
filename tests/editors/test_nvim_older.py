"""A Neovim from before ghost text: the list, with the configuration of ``docs/editors.md``, and the health check."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.neovim import PLUGIN, ROOT, SERVER, Editor, editor
from tests.editors.programs import NEOVIM, OLDER_NEOVIM, Program

DOCUMENTATION = ROOT / "docs/editors.md"


@pytest.fixture(scope="module")
def older() -> Program:
    neovim = OLDER_NEOVIM.find()
    if neovim.version[:2] >= NEOVIM.oldest:
        pytest.skip(f"Debian's older suite has Neovim {neovim.version} by now")
    return neovim


def documented() -> str:
    """The Lua in the section of the documentation, with the server of this checkout."""
    section = DOCUMENTATION.read_text(encoding="utf-8").partition("## Neovim before 0.12")[2]
    code = section.partition("```lua\n")[2].partition("```")[0]
    command = ", ".join(f"'{word}'" for word in SERVER)
    assert "{ 'midtoken', 'serve' }" in code
    return code.replace("{ 'midtoken', 'serve' }", f"{{ {command} }}, cmd_env = {{ PYTHONPATH = '{ROOT}' }}")


@pytest.fixture
def it(older: Program, tmp_path: Path) -> Iterator[Editor]:
    with editor(older, tmp_path, f"vim.opt.runtimepath:prepend('{PLUGIN}')\n{documented()}") as started:
        yield started


def test_the_classic_list(it: Editor):
    it.open("import json\n\njson.lo")
    after = f"import json\n\njson.{it.take_from_list()}"
    it.until(lambda: it.text() == after, "the acceptance")


def test_health_says_what_is_missing(it: Editor):
    it.nvim.command("checkhealth midtoken")
    assert "has neither vim.lsp.config nor ghost text" in it.text()
    assert "Install Neovim 0.12 or later for ghost text" in it.text()


def test_setup_says_what_is_missing(it: Editor):
    told = it.lua("local told; vim.notify = function(text) told = text end; require('midtoken').setup(); return told")
    assert told == "Midtoken: setup(): Neovim 0.11 or later is needed; for older versions see :help midtoken-older"
