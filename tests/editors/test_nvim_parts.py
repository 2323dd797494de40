"""What our keys do with ghost text of known words: parts, several lines, other servers, options of ``setup``."""

import json
import shutil
from pathlib import Path

import pytest

from tests.editors.neovim import PLUGIN, SERVER, SETTINGS, Editor, configuration, editor
from tests.editors.programs import Program


@pytest.fixture
def it(empty: Editor) -> Editor:
    # The items of these tests are fixed, so no answer of the model may arrive.
    empty.lua("vim.defer_fn = function() return vim.uv.new_timer() end")
    return empty


def show(it: Editor, text: str, item: str, start: int | None = None, client: str = "midtoken") -> None:
    """Insert mode at the end of ``text``, with ``item`` there as if the server had answered it."""
    it.open(text)
    it.insert_at_end()
    line, column = text.count("\n"), len(text.splitlines()[-1])
    begin = column if start is None else start
    answer = {
        "insertText": item,
        "range": {"start": {"line": line, "character": begin}, "end": {"line": line, "character": column}},
    }
    it.lua(
        """local answer, name = ...
        local client = vim.lsp.get_clients({ bufnr = 0 })[1]
        client.name = name
        local shown = require('vim.lsp._capability').all.inline_completion.active[vim.fn.bufnr()]
        shown:handler(nil, { items = { answer } }, { client_id = client.id })""",
        answer,
        client,
    )
    assert it.ghost()


def press(it: Editor, action: str) -> str:
    """The text after an acceptance."""
    before = it.nvim.current.buffer.api.get_changedtick()
    assert it.lua(f"return require('midtoken').{action}()")
    it.until(lambda: it.nvim.current.buffer.api.get_changedtick() > before, "the acceptance")
    return it.text()


@pytest.mark.parametrize(
    ("rest", "word"),
    [
        ("ame__(self)", "ame__"),
        ("(self, x)", "("),
        (" = other.thing", " ="),
        ("  \t first second", "  \t first"),
        ("...  # what", "..."),
        ("été = 1", "été"),
        ("名前 = 1", "名前"),
        ("😀 = 1", "😀"),
        ("   ", "   "),
    ],
)
def test_a_word(it: Editor, rest: str, word: str):
    show(it, "n", f"n{rest}", start=0)
    assert press(it, "accept_word") == f"n{word}"
    assert it.ghost() == rest[len(word) :]


def test_word_by_word_without_a_pause(it: Editor):
    show(it, "x", " = self.name", start=1)
    seen = [press(it, "accept_word") for _ in range(4)]
    assert seen == ["x =", "x = self", "x = self.", "x = self.name"]
    assert it.lua("return require('midtoken').accept_word()") is False


def test_line_by_line(it: Editor):
    show(it, "if x:\n    ret", "return 1\nelse:\n    return 2", start=4)
    assert press(it, "accept_line") == "if x:\n    return 1"


def test_the_whole_of_several_lines(it: Editor):
    show(it, "if x:\n    ret", "return 1\nelse:\n    return 2", start=4)
    assert press(it, "accept") == "if x:\n    return 1\nelse:\n    return 2"
    assert it.nvim.current.window.cursor == (4, 12)


def test_a_line_that_is_full_gives_the_next_one(it: Editor):
    show(it, "if x:", ":\n    pass\nelse", start=4)
    assert press(it, "accept_line") == "if x:\n    pass"


def test_items_of_other_servers_are_left_to_neovim(it: Editor):
    show(it, "x = ol", "new = 1", start=0, client="another")
    assert press(it, "accept_word") == "new = 1"
    it.lua("vim.lsp.get_clients({ bufnr = 0 })[1].name = 'midtoken'")


SETUP = """require('midtoken').setup({{
  cmd = vim.json.decode({cmd!r}), settings = vim.json.decode({settings!r}), {more}
}})"""


def setup(more: str = "") -> str:
    # The server of a checkout is found through the environment; setup() has no option for it.
    environment = f"vim.lsp.config('midtoken', {{ cmd_env = {{ PYTHONPATH = {json.dumps(str(PLUGIN.parent))} }} }})\n"
    call = SETUP.format(cmd=json.dumps(SERVER), settings=json.dumps(SETTINGS), more=more)
    return configuration(environment + call, own_server=False)


def test_setup_is_enough_too_and_its_keys_fall_through(neovim: Program, tmp_path: Path):
    with editor(neovim, tmp_path, setup()) as it:
        it.open("import o")
        it.insert_at_end()
        ghost = it.wait_ghost()
        it.type("<Tab>")
        it.until(lambda: it.text() == f"import o{ghost}", "the acceptance")
        it.type("<Esc>o<Tab>x")  # no ghost text on an empty new line
        it.until(lambda: it.text().endswith("x"), "what was typed")
        assert it.text() == f"import o{ghost}\n    x"
        assert it.lua("return vim.lsp.get_clients({ name = 'midtoken' })[1].settings.midtoken.device") == "cpu"
        assert it.told() == []


def test_setup_with_the_list_and_keys_of_ones_own(neovim: Program, tmp_path: Path):
    more = "list = true, ghost_text = false, keymaps = { accept = '<C-y>', dismiss = false }"
    with editor(neovim, tmp_path, setup(more)) as it:
        it.open("import json\n\njson")
        it.insert_at_end()
        it.type(".")  # the server's trigger character
        it.until(lambda: it.nvim.funcs.complete_info(["items"])["items"], "the completion list")
        assert it.ghost() == ""
        assert it.nvim.funcs.maparg("<C-y>", "i") != ""
        assert it.nvim.funcs.maparg("<C-]>", "i") == ""


def test_setup_names_what_it_does_not_know(neovim: Program, tmp_path: Path):
    more = "ghosttext = true, list = 'yes', keymaps = { acept = '<Tab>' }"
    with editor(neovim, tmp_path, setup(more)) as it:
        assert sorted(it.told()) == [
            "Midtoken: setup(): option 'list' is a string where a boolean belongs; it is ignored",
            "Midtoken: setup(): unknown key 'acept' in keymaps; it is ignored",
            "Midtoken: setup(): unknown option 'ghosttext'; it is ignored",
        ]


def test_the_help_file_has_its_tags(it: Editor, tmp_path: Path):
    shutil.copytree(PLUGIN / "doc", tmp_path / "doc")
    it.nvim.command(f"helptags {tmp_path / 'doc'}")  # an error for a tag that occurs twice
    it.nvim.options["runtimepath"] = f"{it.nvim.options['runtimepath']},{tmp_path}"
    for topic in ("midtoken", "midtoken-setup", "midtoken-keys", "midtoken-older", "midtoken-statusline", ":Midtoken"):
        it.nvim.command(f"help {topic}")
        assert it.nvim.current.buffer.options["filetype"] == "help"
    for link in it.lua(
        """local links = {}
        for _, line in ipairs(vim.api.nvim_buf_get_lines(0, 0, -1, false)) do
          for link in line:gmatch('|([^|%s]+)|') do table.insert(links, link) end
        end
        return links"""
    ):
        it.nvim.command(f"help {link}")
    assert max(len(line) for line in (PLUGIN / "doc/midtoken.txt").read_text(encoding="utf-8").splitlines()) <= 78
