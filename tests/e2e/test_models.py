"""Choosing models over the protocol: one process lists what is on this machine, adds a model, uses it and leaves it."""

from typing import Any

import pytest
from lsprotocol import types

from tests.e2e.clients import PATIENT, REAL_SERVER, Buffer, run, serving, until
from tests.e2e.test_settings import configure
from tests.lsp_server.models.fake_machine import put_ollama
from tests.onnx_export.gguf.files import write_model

pytestmark = pytest.mark.asyncio


async def test_another_model_is_added_and_used_and_the_first_one_again(tmp_path):
    write_model(tmp_path / "m.gguf")
    put_ollama(tmp_path / ".ollama/models", "toy:1", (tmp_path / "m.gguf").read_bytes())
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for name in ("OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LLAMA_CACHE"):
        home[name] = ""
    told: list[Any] = []
    async with serving(REAL_SERVER, settings=PATIENT, env=home, statuses=told) as client:
        process = client._server

        async def use(name: str, **settings: object) -> dict[str, Any]:
            configure(client, **PATIENT, **settings)
            await until(lambda: told and (told[-1].state, told[-1].model) == ("ready", name))
            info: dict[str, Any] = dict(await run(client, "midtoken.server.modelInfo"))
            return info

        bundled = await use("bundled")
        listed = await run(client, "midtoken.server.listModels")
        rows = {row["name"]: row for row in map(dict, listed["models"])}
        assert {name: row["state"] for name, row in rows.items()} == {"bundled": "ready", "toy:1": "convertible"}
        assert all(row["parameters"] for row in rows.values())

        added = await run(client, "midtoken.server.addModel", "toy:1")
        assert (added["state"], added["problem"]) == ("added", None)
        values = [report for reports in client.progress_reports.values() for report in reports]
        assert any(isinstance(value, types.WorkDoneProgressReport) and value.percentage for value in values)

        toy = await use("toy:1", model="toy:1")
        assert (toy["path"], toy["name"]) == (added["path"], "small")
        buffer = Buffer(client, "import num")
        assert isinstance(await buffer.texts(automatic=False), list)
        again = await use("bundled")
        assert again["path"] == bundled["path"]
        assert any(text.startswith("numpy") for text in await Buffer(client, "import nump").texts(automatic=False))
        assert client._server is process
        assert process is not None
        assert process.returncode is None
