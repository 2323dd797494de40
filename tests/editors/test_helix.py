"""Helix, which shows the classic list: the configuration of ``docs/editors.md`` and the bundled model, on a screen."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.editors.programs import HELIX, Program
from tests.editors.terminal import Terminal, terminal

ROOT = Path(__file__).parents[2]
DOCUMENTATION = ROOT / "docs/editors.md"


def documented() -> str:
    """The TOML in the section of the documentation, with the server of this checkout and a long time limit."""
    section = DOCUMENTATION.read_text(encoding="utf-8").partition("## Helix")[2]
    code = section.partition("```toml\n")[2].partition("```")[0]
    command = [f"PYTHONPATH={ROOT}", sys.executable, "-m", "lsp_server", "serve"]
    for its, ours in (
        ('command = "midtoken"', 'command = "env"'),
        ('args = ["serve"]', f"args = {json.dumps(command)}"),
        ('"pylsp", ', ""),
        ("multiLine = true", "budgetMs = 30000, minConfidence = 0"),
    ):
        assert its in code
        code = code.replace(its, ours)
    return code


@pytest.fixture(scope="module")
def helix() -> Program:
    return HELIX.find()


@contextmanager
def editor(helix: Program, folder: Path, text: str) -> Iterator[Terminal]:
    """Helix with a new line below ``text``, in insert mode."""
    configuration = folder / "config/helix"
    configuration.mkdir(parents=True)
    (configuration / "languages.toml").write_text(documented(), encoding="utf-8")
    (folder / "a.py").write_bytes(text.encode())
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MIDTOKEN_", "XDG_"))}
    homes = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), "XDG_CACHE_HOME": str(folder / "cache")}
    with terminal([str(helix.path), str(folder / "a.py")], {**ours, **helix.environment, **homes}) as it:
        it.until(lambda screen: "NOR" in screen and "a.py" in screen, "the file")
        it.tmux("send-keys", "ge", "o")
        it.until(lambda screen: "INS" in screen, "insert mode")
        yield it


def test_an_item_of_the_list_is_inserted(helix: Program, tmp_path: Path):
    with editor(helix, tmp_path, 'x = "😀"\r\n') as it:
        it.tmux("send-keys", "import nump")

        def listed(screen: str) -> bool:
            if screen.count("nump") > 1:
                return True
            it.tmux("send-keys", "C-x")  # the list that it asked for on its own came before the model was loaded
            return False

        it.until(listed, "the list")
        it.tmux("send-keys", "Tab")
        it.until(lambda screen: screen.splitlines()[1].strip() != "2  import nump", "the choice")
        it.tmux("send-keys", "Enter")
        it.tmux("send-keys", "Escape")
        it.until(lambda screen: "NOR" in screen, "normal mode")
        it.tmux("send-keys", ":w", "Enter")
        screen = it.until(lambda screen: "written" in screen, "the message of :w")
        first, second, *_ = (tmp_path / "a.py").read_bytes().decode().split("\r\n")
        assert first == 'x = "😀"'
        assert second.startswith("import nump")
        assert second != "import nump"
        assert second in screen
