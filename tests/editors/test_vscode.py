"""VS Code with the packaged extension, the real server and the bundled model: ghost text, lists and notebooks.

The tests do not check which words the model finds, only that there is ghost text and what happens to it.
"""

import json

import pytest

from tests.editors.languages import OTHERS
from tests.editors.vscode import SETTINGS, TIMEOUT_S, Code
from tests.editors.vscode_server import Workbench
from tests.editors.vscode_window import METHOD, NAME, it, start, wait_text, window

__all__ = ["it", "window"]


@pytest.mark.parametrize("text", ["import nump", METHOD, "while Tru", "import json\n\njson.lo", "if __na"])
def test_ghost_text_is_accepted_by_tab(it: Code, text: str):
    ghost = start(it, text)
    it.press("Tab")
    wait_text(it, text + ghost)
    assert it.ghost() == ""


@pytest.mark.parametrize("name", OTHERS)
def test_other_languages(it: Code, name: str):
    ghost = start(it, OTHERS[name], name)
    it.press("Tab")
    wait_text(it, OTHERS[name] + ghost)


def test_typing_on_along_it_keeps_it(it: Code):
    ghost = start(it, "import nump")
    answered = it.command("midtoken.server.statistics")["answeredByModel"]

    def rest() -> bool:
        return it.ghost() == ghost[typed:]

    for typed in range(1, len(ghost)):
        it.type(ghost[typed - 1])
        it.until(rest, "the rest of the ghost text")
    assert it.command("midtoken.server.statistics")["answeredByModel"] == answered


def test_typing_something_else_makes_it_vanish(it: Code):
    ghost = start(it, METHOD)
    it.type("§")
    it.until(lambda: it.ghost() not in (ghost, ghost[1:]), "the end of the ghost text")
    assert it.text() == f"{METHOD}§"


def test_dismiss(it: Code):
    start(it, "import nump")
    it.press("Escape")
    it.until(lambda: it.ghost() == "", "the end of the ghost text")
    assert it.text() == "import nump"
    it.command("midtoken.trigger")
    it.wait_ghost()
    it.command("midtoken.dismiss")
    it.until(lambda: it.ghost() == "", "the end of the ghost text")


def test_word_by_word(it: Code):
    text = "if __na"
    ghost = start(it, text)
    it.press("Control+ArrowRight")
    after = str(it.until(lambda: it.text() != text and it.text(), "the acceptance"))
    assert f"{text}{ghost}".startswith(after)
    it.command("midtoken.acceptNextWord")
    it.until(lambda: it.text() != after, "the acceptance")
    assert f"{text}{ghost}".startswith(str(it.text()))


def test_line_by_line(it: Code):
    text = "try:\n    import json\nexcept ImportErr"
    it.open(text)
    it.command("midtoken.trigger")
    ghost = it.wait_ghost()
    it.press("Alt+End")
    wait_text(it, text + ghost.split("\n")[0])


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_several_lines(it: Code, line_break: str):
    it.settings({**SETTINGS, "midtoken.multiLine": True})
    text = f"x = 1{line_break}{line_break}{line_break}if __na"
    start(it, text)
    # What is shown may be the first words only, or from before the server received the setting. Among the answers to a
    # new request VS Code would keep it selected, so it goes first.
    it.press("Escape")
    it.command("midtoken.trigger")
    ghost = str(it.until(lambda: "\n" in it.ghost() and it.ghost(), "the lines below"))
    it.press("Tab")
    wait_text(it, text + ghost.replace("\n", line_break))


def test_several_when_asked_by_hand(it: Code):
    it.open(NAME)
    it.press("Alt+\\")
    first = it.wait_ghost()
    it.press("Alt+]")
    second = it.until(lambda: it.ghost() not in ("", first) and it.ghost(), "another suggestion")
    it.command("midtoken.showPrevious")
    it.until(lambda: it.ghost() == first, "the first suggestion")
    it.command("midtoken.showNext")
    it.until(lambda: it.ghost() == second, "the second suggestion")
    it.command("midtoken.accept")
    wait_text(it, f"{NAME}{second}")


def test_positions_and_line_ends(it: Code):
    text = '# 😀 été\r\nx = "😀𝒳"; import os\r\ny = "名前😀", os.pa'
    ghost = start(it, text)
    assert not ghost.startswith("pa")
    it.press("Tab")
    wait_text(it, text + ghost)


def test_the_classic_list(it: Code):
    text = "import json\n\njson.lo"
    with it.restarting():
        it.settings({**SETTINGS, "midtoken.completionList": True})
    it.open(text)
    find = """const editor = vscode.window.activeTextEditor;
    const list = await vscode.commands.executeCommand(
      'vscode.executeCompletionItemProvider', editor.document.uri, editor.selection.active);
    return list.items.filter((item) => item.detail === 'Midtoken')
      .map(({ label, insertText, range }) => ({ label: label.label ?? label, insertText, range }));"""
    [first, *_] = it.until(lambda: it.run(find), "the items of the list")
    assert first["insertText"].startswith("lo")
    assert first["range"] == [{"line": 2, "character": 5}, {"line": 2, "character": 7}]
    with it.restarting():
        it.settings(SETTINGS)
    it.until(lambda: it.run(find) == [], "a list without our items")


def test_an_item_of_the_list_is_inserted(it: Code):
    with it.restarting():
        it.settings({**SETTINGS, "midtoken.completionList": True, "editor.wordBasedSuggestions": "off"})
    it.open("import json\n\njson.l")
    it.type("o")
    it.command("editor.action.triggerSuggest")
    row = it.page.wait_for_selector('.suggest-widget.visible .monaco-list-row:has-text("lo")')
    label = str(row.get_attribute("aria-label"))
    it.press("Enter")
    after = str(it.until(lambda: it.text() != "import json\n\njson.lo" and it.text(), "the insertion"))
    assert after.startswith("import json\n\njson.lo")
    assert after.removeprefix("import json\n\njson.").startswith(label.split(",")[0].rstrip("…"))
    with it.restarting():
        it.settings(SETTINGS)


def test_ghost_text_stays_when_a_list_opens_on_what_it_says(it: Code):
    word = f"o{start(it, 'import o')}".split(".")[0]
    start(it, f"{word} = 1\nimport o", "b.py")
    it.command("editor.action.triggerSuggest")
    it.page.wait_for_selector(f'.suggest-widget.visible .monaco-list-row.focused:has-text("{word}")')
    assert it.wait_ghost()


def test_a_cell_of_a_notebook(it: Code):
    cell: dict[str, object] = {"cell_type": "code", "metadata": {}, "outputs": [], "source": ["import "]}
    python = {"language_info": {"name": "python"}}
    path = it.folder / "a.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": python, "nbformat": 4, "nbformat_minor": 5}), "utf-8")
    it.run(
        """const notebook = await vscode.workspace.openNotebookDocument(vscode.Uri.file(args[0]));
        await vscode.window.showNotebookDocument(notebook);
        await vscode.commands.executeCommand('notebook.cell.edit');""",
        str(path),
    )
    it.page.wait_for_selector(".notebookOverlay .monaco-editor.focused")
    it.press("End")
    it.type("o")
    it.until(lambda: it.text() == "import o", "what was typed")
    it.command("midtoken.trigger")  # in case it was typed before the server received the cell
    assert it.wait_ghost()


def test_the_walkthrough(it: Code):
    it.command("workbench.action.openWalkthrough", "midtoken.midtoken#start", False)
    it.page.wait_for_selector('.gettingStarted [data-done-step-id$="#server"]')
    assert start(it, "import o")  # VS Code observes what happens from now on
    it.command("workbench.action.openWalkthrough", "midtoken.midtoken#start", False)
    it.page.wait_for_selector('.gettingStarted [data-done-step-id$="#server"].complete', timeout=TIMEOUT_S * 1000)
    for step in it.manifest()["contributes"]["walkthroughs"][0]["steps"]:
        it.page.click(f".gettingStarted :text({json.dumps(step['title'])})")


def test_two_windows_on_one_folder(workbench: Workbench):
    with workbench(SETTINGS) as server, server.window() as one, server.window() as two:
        for it, name in ((one, "one.py"), (two, "two.py")):
            it.page.bring_to_front()
            it.open("import ", name)
            it.wait_ready()
            it.type("o")
            it.command("midtoken.trigger")  # VS Code sometimes does not ask about the first key in a new window
            it.wait_ghost()
        assert one.ghost() == two.ghost()
