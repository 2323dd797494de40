"""Ghost text in Neovim, from the real server and the bundled model, with the two lines that should be enough.

The tests do not check which words the model finds, only that there is ghost text and what happens to it.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.editors.neovim import Editor
from tests.editors.programs import NEOVIM, Program

METHOD = "import os\n\n\ndef first(self):\n    ret"
NAME = "class A:\n    def __init__(self, name):\n        self.na"
# Places where any model of Python has a completion, most of them inside a token.
CUTS = [
    "import o",
    METHOD,
    "import sys\n\nsys.arg",
    "import json\n\njson.lo",
    NAME,
    "if __na",
]
HINT = re.compile(r" \((\d)/(\d)\)$")


@pytest.fixture
def it(empty: Editor) -> Editor:
    return empty


def start(it: Editor, text: str) -> str:
    """Ghost text at the end of ``text``."""
    it.open(text)
    it.insert_at_end()
    return it.wait_ghost()


def wait_text(it: Editor, text: str) -> None:
    it.until(lambda: it.text() == text, f"the text {text!r}")


def count_answers(it: Editor) -> None:
    """Count the answers in ``_G.answers`` from now on."""
    it.lua(
        """_G.answers = 0
        _G.counting = _G.counting or vim.api.nvim_create_autocmd('LspRequest', { callback = function(event)
          if event.data.request.type == 'complete' then _G.answers = _G.answers + 1 end
        end })"""
    )


@contextmanager
def no_automatic_request(it: Editor) -> Iterator[None]:
    """As during the 200 ms that Neovim waits before it asks, however slow this machine is."""
    it.lua("_G.defer_fn = vim.defer_fn; vim.defer_fn = function() return vim.uv.new_timer() end")
    try:
        yield
    finally:
        it.lua("vim.defer_fn = _G.defer_fn")


def test_it_is_the_version_that_has_ghost_text(neovim: Program):
    assert neovim.version[:2] >= NEOVIM.oldest


@pytest.mark.parametrize("text", CUTS)
def test_accepting_inserts_what_was_shown(it: Editor, text: str):
    ghost = start(it, text)
    assert it.text() == text  # shown, not inserted
    assert it.lua("return vim.lsp.inline_completion.get()")
    wait_text(it, text + ghost)
    assert it.nvim.current.window.cursor[1] == len(it.text().splitlines()[-1])
    assert it.told() == []


def test_ours_accepts_the_same_and_one_undo_takes_it_back(it: Editor):
    it.open("import ")
    it.insert_at_end()
    it.type("o")
    wait_text(it, "import o")
    ghost = it.wait_ghost()
    assert it.lua("return require('midtoken').accept()")
    wait_text(it, f"import o{ghost}")
    it.type("<Esc>u")
    wait_text(it, "import o")


def test_a_word_and_then_the_rest(it: Editor):
    text = NAME
    ghost = start(it, text)
    word = re.match(r"\s*(\w+|[^\w\s]+)", ghost)
    assert word
    assert it.lua("return require('midtoken').accept_word()")
    wait_text(it, text + word[0])
    if ghost != word[0]:
        it.until(lambda: it.ghost() == ghost[len(word[0]) :], "the rest as ghost text")
        it.lua("require('midtoken').accept()")
        wait_text(it, text + ghost)


def test_a_line(it: Editor):
    ghost = start(it, METHOD)
    assert it.lua("return require('midtoken').accept_line()")
    wait_text(it, METHOD + ghost)  # the default is one line


def test_alternatives_are_asked_for_and_cycled(it: Editor):
    first = start(it, "import o")
    assert it.items() == 1  # what is shown while typing
    it.lua("require('midtoken').next()")
    it.until(lambda: HINT.search(it.ghost()), "an alternative with its number")
    hint = HINT.search(it.ghost())
    assert hint
    assert hint[1] == "2"
    assert int(hint[2]) == it.items() > 1
    assert it.ghost() != first
    it.lua("require('midtoken').previous()")
    it.until(lambda: it.ghost().endswith(f" (1/{hint[2]})"), "the first one")
    it.lua("require('midtoken').previous()")
    it.until(lambda: it.ghost().endswith(f" ({hint[2]}/{hint[2]})"), "the last one, around the end")
    chosen = HINT.sub("", it.ghost())
    it.lua("require('midtoken').accept()")
    wait_text(it, f"import o{chosen}")


def test_a_word_of_an_alternative_and_then_its_rest(it: Editor):
    text = NAME
    start(it, text)
    it.lua("require('midtoken').next()")
    it.until(lambda: HINT.search(it.ghost()), "an alternative")
    second = HINT.sub("", it.ghost())
    count_answers(it)
    assert it.lua("return require('midtoken').accept_word()")
    it.until(lambda: it.text() != text, "the acceptance")
    it.until(lambda: it.lua("return _G.answers") > 0, "the next answer")
    assert it.text() + it.ghost() == text + second


def test_asking_by_hand_gives_several(it: Editor):
    start(it, "import o")
    it.lua("require('midtoken').trigger()")
    it.until(lambda: it.items() > 1, "several items")


def test_typing_along_keeps_it(it: Editor):
    ghost = start(it, "import json\n\njson.lo")
    count_answers(it)
    it.type(ghost[0])
    it.until(lambda: it.ghost() == ghost[1:], "the rest, before the next answer")
    it.until(lambda: it.lua("return _G.answers") > 0, "the next answer")
    assert it.until(it.ghost, "ghost text") == ghost[1:]
    it.lua("require('midtoken').accept()")
    wait_text(it, f"import json\n\njson.lo{ghost}")


def test_accepting_before_the_answer_to_what_was_typed_doubles_nothing(it: Editor):
    """Neovim's own acceptance replaces the range of the old item, which gives ``import oss``."""
    ghost = start(it, "import o")
    with no_automatic_request(it):
        it.type(ghost[0])
        wait_text(it, f"import o{ghost[0]}")
        it.lua("require('midtoken').accept()")
        wait_text(it, f"import o{ghost}")


def test_what_does_not_fit_any_more_is_not_accepted(it: Editor):
    ghost = start(it, "import o")
    other = "x" if ghost[0] != "x" else "y"
    with no_automatic_request(it):
        it.type(other)
        wait_text(it, f"import o{other}")
        assert it.lua("return require('midtoken').accept()") is False
        assert it.text() == f"import o{other}"


def test_dismissed_until_something_is_typed(it: Editor):
    text = "import json\n\njson.lo"
    ghost = start(it, text)
    assert it.lua("return require('midtoken').dismiss()")
    it.until(lambda: not it.ghost(), "the end of the ghost text")
    assert it.text() == text
    assert it.lua("return require('midtoken').dismiss()") is False
    it.type(ghost[0])
    it.wait_ghost()


def test_leaving_insert_mode_removes_it(it: Editor):
    start(it, "import o")
    it.type("<Esc>")
    it.until(lambda: not it.ghost(), "the end of the ghost text")
    assert it.text() == "import o"


def test_inside_a_line_nothing_behind_the_cursor_changes(it: Editor):
    it.open("import os\n\nprint(os.pa)")
    it.insert_at_end()
    it.type("<Left>")
    ghost = it.wait_ghost()
    it.lua("require('midtoken').accept()")
    wait_text(it, f"import os\n\nprint(os.pa{ghost})")


def test_carriage_returns_and_wide_characters(it: Editor):
    ghost = start(it, 's = "😀é"\r\nimport o')
    assert it.nvim.current.buffer.options["fileformat"] == "dos"
    it.lua("require('midtoken').accept()")
    wait_text(it, f's = "😀é"\nimport o{ghost}')
    it.nvim.command("write")
    assert (it.folder / "a.py").read_bytes().decode() == f's = "😀é"\r\nimport o{ghost}\r\n'


def test_wide_characters_on_the_line(it: Editor):
    text = 's = "😀é"; x = Non'
    ghost = start(it, text)
    it.lua("require('midtoken').accept()")
    wait_text(it, text + ghost)


def test_off_and_on_again(it: Editor):
    start(it, "import o")
    assert str(it.lua("return require('midtoken').status()")).startswith("Midtoken")
    it.nvim.command("Midtoken toggle")
    assert it.lua("return require('midtoken').status()") == "Midtoken: off"
    it.until(lambda: not it.ghost(), "the end of the ghost text")
    it.lua("require('midtoken').trigger()")
    assert it.told() == [
        "Midtoken: ghost text is off",
        "Midtoken: ghost text is off in this buffer; turn it on with :Midtoken toggle",
    ]
    it.nvim.command("Midtoken toggle")
    it.lua("require('midtoken').trigger()")
    it.wait_ghost()
    assert re.fullmatch(r"Midtoken: bundled \d+ ms", str(it.lua("return require('midtoken').status()")))


def test_off_in_one_buffer(it: Editor):
    it.open("import o")
    it.nvim.command("Midtoken toggle-buffer")
    assert it.lua("return require('midtoken').status()") == "Midtoken: off"
    it.open("import o", "b.py")
    assert str(it.lua("return require('midtoken').status()")) != "Midtoken: off"
    it.insert_at_end()
    it.wait_ghost()


def test_the_list_of_older_clients(it: Editor):
    it.open("import json\n\njson.lo")
    wait_text(it, f"import json\n\njson.{it.take_from_list()}")


def test_one_server_for_all_folders_and_none_is_left(it: Editor, tmp_path_factory: pytest.TempPathFactory):
    it.open("import o")
    other = tmp_path_factory.mktemp("another project")
    (other / ".git").mkdir()
    it.nvim.command(f"edit {str(other / 'b.py').replace(' ', chr(92) + ' ')}")
    it.until(it.attached, "the server for the second file")
    [pid] = it.server_pids()
    it.lua("vim.lsp.enable('midtoken', false)")
    end = time.monotonic() + 30
    while time.monotonic() < end and it.server_pids():
        time.sleep(0.05)
    assert it.server_pids() == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    it.lua("vim.lsp.enable('midtoken')")
    it.until(it.attached, "the server's start")


def statistics(it: Editor) -> dict[str, object]:
    told = it.lua(
        """local client = vim.lsp.get_clients({ bufnr = 0, name = 'midtoken' })[1]
        return client:request_sync('workspace/executeCommand', { command = 'midtoken.server.statistics' }).result"""
    )
    assert isinstance(told, dict)
    return told


def test_acceptances_are_told_to_the_server(it: Editor):
    ghost = start(it, "import o")
    before = statistics(it)
    assert it.lua("return require('midtoken').accept_word()")
    it.until(lambda: it.text() != "import o", "the acceptance")
    it.until(lambda: statistics(it)["accepted"] == int(str(before["accepted"])) + 1, "the notification")
    characters = len(it.text()) - len("import o")
    assert statistics(it)["acceptedCharacters"] == int(str(before["acceptedCharacters"])) + characters
    assert characters <= len(ghost)


def test_neovims_own_acceptance_runs_the_items_command(it: Editor):
    ghost = start(it, "import o")
    before = int(str(statistics(it)["accepted"]))
    assert it.lua("return vim.lsp.inline_completion.get()")
    it.until(lambda: it.text() == f"import o{ghost}", "the acceptance")
    it.until(lambda: statistics(it)["accepted"] == before + 1, "the command")


def test_what_the_server_says_of_itself(it: Editor):
    start(it, "import o")
    it.nvim.command("Midtoken statistics")
    it.until(lambda: any("shareWithoutModel" in text for text in it.told()), "the figures")
    it.nvim.command("Midtoken model-info")
    it.until(lambda: any("contextLength" in text for text in it.told()), "the model")


def test_a_model_is_picked_from_a_list_or_named(it: Editor):
    start(it, "import o")
    it.lua(
        """vim.ui.select = function(items, options, on_choice)
          _G.lines = vim.tbl_map(options.format_item, items)
          on_choice(items[1])
        end"""
    )
    it.nvim.command("Midtoken model")
    it.until(lambda: any("uses bundled in this session" in text for text in it.told()), "the choice")
    assert it.lua("return _G.lines[1]").split()[-1] == "ready"
    assert it.lua("return vim.lsp.get_clients({ name = 'midtoken' })[1].settings.midtoken.model") == "bundled"
    it.nvim.command("Midtoken model no-such-model")
    it.until(lambda: any("no model is called 'no-such-model'" in text for text in it.told()), "the problem")
    it.nvim.command("Midtoken cancel")
    it.until(lambda: any("no model is being added" in text for text in it.told()), "the answer")


def test_a_server_that_is_switched_off_or_in_trouble_shows_it(it: Editor):
    start(it, "import o")
    switch = """local client = vim.lsp.get_clients({ bufnr = 0, name = 'midtoken' })[1]
        client:request_sync('workspace/executeCommand', { command = 'midtoken.server.' .. ... })"""
    status = "return require('midtoken').status()"
    it.lua(switch, "disable")
    it.until(lambda: it.lua(status) == "Midtoken: off", "the status")
    it.lua(switch, "enable")
    it.until(lambda: it.lua(status) != "Midtoken: off", "the status")
    it.lua(
        """local client = vim.lsp.get_clients({ bufnr = 0, name = 'midtoken' })[1]
        require('midtoken.status').on_status(client.id, { state = 'error', message = 'no model here' })"""
    )
    assert it.lua(status) == "Midtoken: error"
    it.nvim.command("checkhealth midtoken")
    assert "The server is in trouble: no model here" in it.text()
    it.lua(
        "require('midtoken.status').on_status(vim.lsp.get_clients({ name = 'midtoken' })[1].id, { state = 'ready' })"
    )
