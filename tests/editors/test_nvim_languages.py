"""Ghost text in Neovim in other languages than Python, from the real server and the bundled model."""

import pytest

from tests.editors.languages import OTHERS
from tests.editors.neovim import Editor


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_shown_and_accepted(empty: Editor, name: str):
    text = OTHERS[name]
    empty.open(text, name)
    empty.insert_at_end()
    ghost = empty.wait_ghost()
    assert empty.lua("return require('midtoken').accept()")
    empty.until(lambda: empty.text() == text + ghost, f"the text {text + ghost!r}")
