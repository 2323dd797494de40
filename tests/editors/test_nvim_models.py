"""Choosing models in Neovim: one server adds a model, uses it, returns to the first; adding can be cancelled."""

import sys
from pathlib import Path

from tests.editors.neovim import ENABLE, Editor, configuration, editor
from tests.editors.programs import Program
from tests.lsp_server.models.fake_machine import put_ollama
from tests.onnx_export.gguf.files import write_model

STATUS = "return require('midtoken').status()"
SLOW = [sys.executable, "-m", "tests.editors.slow_adding", "serve"]


def wait_status(it: Editor, name: str) -> None:
    it.until(lambda: str(it.lua(STATUS)).startswith(f"Midtoken: {name}"), f"the model {name}")


def told(it: Editor, part: str) -> bool:
    return any(part in text for text in it.told())


def test_models_are_swapped_by_one_server(neovim: Program, tmp_path: Path):
    write_model(tmp_path / "m.gguf")
    put_ollama(tmp_path / ".ollama/models", "toy:1", (tmp_path / "m.gguf").read_bytes())
    with editor(neovim, tmp_path, configuration()) as it:
        it.lua(
            """vim.ui.select = function(items, options, on_choice)
              _G.lines = vim.tbl_map(options.format_item, items)
              for _, item in ipairs(items) do
                if item.name == _G.wanted then on_choice(item) end
              end
            end"""
        )
        it.open("import o")
        wait_status(it, "bundled")
        server = it.server_pids()

        def choose(name: str) -> list[str]:
            it.lua("_G.wanted = ...", name)
            it.nvim.command("Midtoken model")
            wait_status(it, name)
            assert it.server_pids() == server
            return [str(line) for line in it.lua("return _G.lines")]

        lines = choose("toy:1")
        assert lines[0].startswith("* bundled  bundled  9 M parameters  int8  12 MB  ")
        assert lines[1].startswith("  toy:1  ollama  ")
        assert lines[1].endswith("  to be added")
        lines = choose("bundled")
        assert lines[1].startswith("* toy:1  added  ")
        assert lines[1].endswith("  ready")
        it.insert_at_end()
        it.wait_ghost()
        it.type("<Esc>")
        it.nvim.command("Midtoken model toy:1")
        wait_status(it, "toy:1")
        assert it.server_pids() == server


def test_adding_is_cancelled(neovim: Program, tmp_path: Path):
    write_model(tmp_path / "m.gguf")
    put_ollama(tmp_path / ".ollama/models", "toy:1", (tmp_path / "m.gguf").read_bytes())
    with editor(neovim, tmp_path, configuration(ENABLE, SLOW)) as it:
        it.open("import o")
        wait_status(it, "bundled")
        it.lua(
            """vim.api.nvim_create_autocmd('LspProgress', { callback = function(event)
              _G.message = event.data.params.value.message or _G.message
            end })"""
        )
        it.nvim.command("Midtoken model toy:1")
        it.until(lambda: told(it, "adding toy:1; :Midtoken cancel ends it"), "the beginning")
        it.until(lambda: it.lua("return _G.message") == "weights", "the progress")
        it.nvim.command("Midtoken cancel")
        it.until(lambda: told(it, "no longer adds the model"), "the end")
        wait_status(it, "bundled")
        it.nvim.command("Midtoken model toy:1")
        it.until(lambda: sum("adding toy:1" in text for text in it.told()) == 2, "another try")
        it.nvim.command("Midtoken cancel")


def test_a_name_in_the_status_line_is_short_and_no_item_of_it(neovim: Program, tmp_path: Path):
    with editor(neovim, tmp_path, configuration()) as it:
        it.open("import o")
        wait_status(it, "bundled")
        tell = """local client = vim.lsp.get_clients({ name = 'midtoken' })[1]
            require('midtoken.status').on_status(client.id, { state = 'ready', model = ... })"""
        for name, shown in (("100%#Error# model", "100#Error# model"), ("m" * 40, "m" * 23 + "…")):
            it.lua(tell, name)
            assert it.lua(STATUS) == f"Midtoken: {shown}"
