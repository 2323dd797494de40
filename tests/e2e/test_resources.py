"""What the real server uses: threads, and no processor time while nobody asks."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_lsp import LanguageClient

from tests.e2e.clients import PATIENT, REAL_SERVER, TIMEOUT_S, Buffer, serving

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux says it in files"),
]
IDLE_S = 1.0
ASKED = "import os\n\n\ndef first(path):\n    return os.pa"


def process_of(client: LanguageClient) -> Path:
    assert client._server is not None
    return Path(f"/proc/{client._server.pid}")


async def threads_with(threads: int, **environment: str) -> int:
    """Threads of a server that has completed something."""
    settings: dict[str, Any] = {**PATIENT, "threads": threads}
    async with serving(REAL_SERVER, settings=settings, env=environment) as client:
        assert await Buffer(client, ASKED).texts() != []
        return len(list((process_of(client) / "task").iterdir()))


async def test_there_are_as_many_threads_as_the_setting_says():
    one = await threads_with(1)
    assert await threads_with(3) == one + 2
    # The threads that numpy would start are not started, unless the user asks for them.
    assert await threads_with(1, OPENBLAS_NUM_THREADS="1") == one
    assert await threads_with(1, OPENBLAS_NUM_THREADS="2") == one + (os.cpu_count() != 1)


async def test_nothing_is_computed_while_nobody_asks():
    async with serving(REAL_SERVER, settings=PATIENT) as client:
        buffer = Buffer(client, ASKED)
        assert await buffer.texts() != []
        before = cpu_seconds(client)
        await asyncio.sleep(IDLE_S)
        # The watchdog checks at intervals whether the editor still runs; a completion takes more time.
        assert cpu_seconds(client) - before <= 0.05
        while cpu_seconds(client) == before:  # the system counts in hundredths of a second
            buffer.type("\n    x")  # a place that no earlier completion predicts: that would take no time
            await asyncio.wait_for(buffer.texts(), TIMEOUT_S)


def cpu_seconds(client: LanguageClient) -> float:
    """Processor time of the process so far."""
    fields = (process_of(client) / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
