"""``midtoken serve`` with the bundled model: the whole path, from the bytes of a request to ghost text."""

import asyncio
import shutil

import pytest
from lsprotocol import types

from engine import BUNDLED_MODEL
from tests.e2e.clients import PATIENT, REAL_SERVER, ROOT, TIMEOUT_S, Buffer, environment, serving
from tests.e2e.test_process import initialize

pytestmark = pytest.mark.asyncio


async def test_a_word_cut_in_the_middle_is_completed_and_typed_on(bundled):
    buffer = Buffer(bundled, "import os\n\n\ndef first(items):\n    for item in items:\n        ret")
    [item] = await buffer.texts()
    assert item.startswith("return")
    assert "\n" not in item
    buffer.type("u")
    assert await buffer.texts() == [item]


async def test_a_document_with_carriage_returns_and_wide_characters(bundled):
    buffer = Buffer(bundled, 's = "😀"\r\nfor i in ran')
    [item] = await buffer.items()
    assert str(item.insert_text).startswith("range")
    assert item.range == types.Range(types.Position(1, 9), types.Position(1, 12))
    await buffer.accept(item)
    assert buffer.text.startswith('s = "😀"\r\nfor i in range')


async def test_the_list_and_the_ghost_text_agree(bundled):
    # A word that any model of Python is sure of. Ghost text is withheld if the model is unsure, the list is not.
    buffer = Buffer(bundled, "import nump")
    ghost, listed = await asyncio.gather(buffer.texts(), buffer.listed())
    assert [item.label for item in listed.items][:1] == ghost != []


async def test_typing_faster_than_the_model(bundled):
    buffer = Buffer(bundled, "def first(items):\n    for item in items:\n        ")
    waiting = []
    for character in "if item: ret":
        buffer.type(character)
        waiting.append(asyncio.ensure_future(buffer.texts()))
        await asyncio.sleep(0.01)
    answers = await asyncio.wait_for(asyncio.gather(*waiting), TIMEOUT_S)
    assert answers.count([]) > len(answers) // 2
    [item] = answers[-1]
    assert item.startswith("return")


async def test_two_servers_on_one_folder_do_not_disturb_each_other(bundled):
    """Two editors on one project, each with its own server: the same model files, the same documents."""
    async with serving(REAL_SERVER, settings=PATIENT) as other:
        buffers = [
            Buffer(client, "import os\n\nprint(os.pa", uri="file:///project/a.py") for client in (bundled, other)
        ]
        first, second = await asyncio.gather(*(buffer.texts() for buffer in buffers))
        assert first == second != []
        buffers[1].type("x")
        assert await buffers[0].texts() == first, "a change in one editor is none in the other"
    assert await buffers[0].texts() == first


async def test_a_server_that_was_killed_as_it_loaded_leaves_nothing_in_the_way_of_the_next(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED_MODEL, folder, ignore=shutil.ignore_patterns("prefix-index-*"))
    command = [*REAL_SERVER, "--model", str(folder)]
    pipe = asyncio.subprocess.PIPE
    killed = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment(), cwd=ROOT)
    assert killed.stdin is not None
    killed.stdin.write(initialize())
    await asyncio.sleep(0.5)  # by now it is reading, or the model is being tried
    killed.kill()
    await killed.communicate()
    before = sorted(path.name for path in folder.iterdir())
    for _ in range(2):
        async with serving(command, settings=PATIENT) as client:
            assert await Buffer(client, "import os\n\nprint(os.pa").texts() != []
    assert sorted(path.name for path in folder.iterdir()) == before, "a folder that is not ours is read only"


async def test_another_device_is_another_load_and_completions_go_on(bundled):
    buffer = Buffer(bundled, "import os\n\nprint(os.pa")
    before = await buffer.texts()
    bundled.set_configuration({**PATIENT, "device": "auto"}, section="midtoken")
    bundled.workspace_did_change_configuration(types.DidChangeConfigurationParams({}))
    other = Buffer(bundled, buffer.text)
    assert await other.texts() == before
