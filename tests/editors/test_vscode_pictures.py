"""Pictures of the page, for a person to look at. ``make screenshots`` copies one of them into the README."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.vscode import BAR, SETTINGS, TIMEOUT_S, Code
from tests.editors.vscode_server import Workbench

PICTURES_VARIABLE = "EDITOR_TEST_PICTURES"
TEXT = '''"""Words and how often they occur."""

import sys
from collections import Counter


def main() -> None:
    for word, count in Counter(sys.stdin.read().split()).most_common():
        print(f"{count:6} {word}")


if __na'''
TIDY = {"breadcrumbs.enabled": False, "workbench.activityBar.location": "hidden", "window.commandCenter": False}


@pytest.fixture
def it(workbench: Workbench) -> Iterator[Code]:
    with workbench({**SETTINGS, **TIDY}) as server, server.window(size=(900, 400)) as started:
        started.command("workbench.action.closeSidebar")
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    named = os.environ.get(PICTURES_VARIABLE)
    return Path(named).absolute() if named else tmp_path


def test_ghost_text_and_status_bar(it: Code, folder: Path):
    it.open(TEXT[:-1], "words.py")
    it.wait_ready()
    it.type(TEXT[-1])
    ghost = it.wait_ghost()
    it.until(lambda: it.bar().endswith(" ms"), "the time of answers")
    picture = it.page.screenshot(path=folder / "screenshot.png")
    shown = it.page.locator("[class*=ghost-text-decoration]").first.bounding_box()
    above = it.page.locator(".view-line", has_text="def main").bounding_box()
    bar = it.page.locator(BAR).bounding_box()
    assert shown
    assert above
    assert bar
    assert shown["width"] > 0
    assert above["y"] < shown["y"] < bar["y"] <= 400 - bar["height"]
    assert len(picture) < 100_000
    it.press("Tab")
    it.until(lambda: str(it.text()).startswith(TEXT + ghost.split("\n")[0]), "the acceptance")
    it.until(lambda: it.page.screenshot() != picture, "another picture")


def test_a_message(workbench: Workbench, folder: Path):
    server = {"midtoken.server.python": "/no/such/python"}
    with workbench({**SETTINGS, **TIDY, **server}) as started, started.window(size=(900, 400)) as it:
        it.open("import nump", "words.py")
        it.wait_told("The setting 'midtoken.server.python' names no server")
        it.page.screenshot(path=folder / "message.png")


def test_the_walkthrough(workbench: Workbench, folder: Path):
    with workbench({**SETTINGS, **TIDY}) as server, server.window(size=(1300, 700)) as it:
        it.open("", "words.py")
        it.wait_ready()
        it.command("workbench.action.closeSidebar")
        it.command("workbench.action.openWalkthrough", "midtoken.midtoken#start", False)
        for number, step in enumerate(it.manifest()["contributes"]["walkthroughs"][0]["steps"]):
            it.page.click(f'.gettingStarted .step-title:text-is("{step["title"]}")')
            picture = it.page.frame_locator(".gettingStarted iframe").frame_locator("#active-frame").locator("svg, img")
            picture.wait_for(timeout=TIMEOUT_S * 1000)
            it.page.screenshot(path=folder / f"walkthrough-{number + 1}.png")
