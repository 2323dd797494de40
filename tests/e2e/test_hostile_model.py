"""A model that never ends leaves the server unharmed, and the next model serves."""

import asyncio
import sys

import pytest
from lsprotocol import types

from engine.model_folder.known_hashes import sha256_of
from engine.model_folder.manifest import MANIFEST_NAME, dump_manifest
from tests.e2e.clients import PATIENT, REAL_SERVER, Buffer, serving, until
from tests.engine.probe.test_parent import slow_graph
from tests.fakes import control_ids, make_manifest, toy_tokenizer
from tests.toy import byte_level

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(sys.platform == "win32", reason="the processes are looked for as Unix shows them"),
]
ASKED = "import os\n\n\ndef first(path):\n    return os.pa"


async def test_a_good_model_takes_the_place_of_one_that_never_ends(tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(slow_graph())
    (folder / "tokenizer.json").write_text(byte_level(), encoding="utf-8")
    tokenizer = toy_tokenizer("byte-level")
    files = {name: sha256_of(folder / name) for name in ("model.onnx", "tokenizer.json")}
    manifest = make_manifest(tokenizer.vocabulary.size, end=control_ids(tokenizer)[:1], files=files)
    (folder / MANIFEST_NAME).write_text(dump_manifest(manifest), encoding="utf-8")
    states: list[str] = []
    async with serving(REAL_SERVER, settings={**PATIENT, "model": str(folder)}, states=states) as client:
        buffer = Buffer(client, ASKED)
        await until(lambda: "loading" in states)
        await asyncio.sleep(1.0)
        started = asyncio.get_running_loop().time()
        client.set_configuration(PATIENT, section="midtoken")
        client.workspace_did_change_configuration(types.DidChangeConfigurationParams({}))
        await until(lambda: states[-1] == "ready")
        assert await buffer.texts() != []
        # Much sooner than the minute that the trial of the other one may take.
        assert asyncio.get_running_loop().time() - started < 45
