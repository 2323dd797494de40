"""A GPU that only waits: who shares which pass, and how long passes take."""

import asyncio
from typing import Any

import pytest

from benchmarks.team.gpu_cost import GpuCost
from benchmarks.team.waiting_gpu import CHUNK, POSITIONS, TYPED, WRITTEN, WaitingGpu

COST = GpuCost()


def run(*sessions: str, documents: int | None = None, in_turn: bool = False):
    """Complete for each session, all at once or one after the other: what they got, and the passes' seconds."""
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    async def complete() -> Any:
        gpu = WaitingGpu(COST, wait, documents)
        if in_turn:
            return [await gpu.complete(session) for session in sessions]
        return await asyncio.gather(*(gpu.complete(session) for session in sessions))

    return asyncio.run(complete()), waited


def test_the_numbers_of_the_docstring():
    assert COST.pass_s(1, 0) == pytest.approx(0.0003 + 0.0065, abs=0.0001)
    assert COST.pass_s(169, 0) < 1.01 * COST.pass_s(1, 0) < COST.pass_s(512, 0)
    assert COST.pass_s(512, 0) == pytest.approx(0.0003 + 512 * 38.4e-6, rel=0.01)
    assert COST.pass_s(1, POSITIONS) - COST.pass_s(1, 0) == pytest.approx(37e-6, rel=0.02)
    assert COST.documents(POSITIONS) == pytest.approx(660, abs=5)


def test_a_document_is_read_once():
    ((first, _), (second, reused)), waited = run("a", "a", in_turn=True)
    assert (first.passes, second.passes, reused) == (WRITTEN, WRITTEN, POSITIONS - TYPED)
    assert len(waited) == -(-POSITIONS // CHUNK) + WRITTEN + 1 + WRITTEN


def test_users_share_passes():
    found, waited = run("a", "b", in_turn=False)
    assert all(sequence.rows > sequence.passes for sequence, _ in found)
    assert len(waited) < 2 * WRITTEN + 2 * POSITIONS / CHUNK


def test_the_document_used_longest_ago_gives_way():
    found, _ = run("a", "b", "c", "a", "c", documents=2, in_turn=True)
    assert [reused > 0 for _, reused in found] == [False, False, False, False, True]


def test_a_cancelled_request_leaves():
    async def complete() -> Any:
        gate = asyncio.Event()

        async def wait(seconds: float) -> None:
            await gate.wait()

        gpu = WaitingGpu(COST, wait)
        task = asyncio.create_task(gpu.complete("a"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        gate.set()
        return await gpu.complete("b")

    sequence, reused = asyncio.run(complete())
    assert (sequence.unwritten, reused) == (0, 0)
