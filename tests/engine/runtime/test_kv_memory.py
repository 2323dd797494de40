"""Memory of a device behaves as memory of this process, to the last bit; only the word ``cuda`` needs a GPU."""

import dataclasses
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DeviceError, DeviceMemoryError
from engine.runtime import session as session_module
from engine.runtime.graph import Device, Graph, cuda_device_count, open_graph
from engine.runtime.kv_memory import DeviceMemory, HostMemory, Number
from engine.runtime.session import OrtSession
from tests.engine.runtime.test_captured_step import Recorded
from tests.fakes import ATTENTION_GRAPH, ATTENTION_HEAD, make_manifest

SLOTS, LENGTH = 4, 6
SHAPE = (SLOTS, 2, LENGTH, 8)
IDS = np.array([3, 7, 300, 9, 9, 9, 1, 2, 3, 3, 511, 0, 42, 7], np.int32)
PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider"]}
kinds = pytest.mark.parametrize(
    "kind",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(cuda_device_count() == 0, reason="no NVIDIA device"))],
)


def filled(memory: HostMemory | DeviceMemory) -> list[Any]:
    """The tensors of ``memory``, with a different number everywhere."""
    memory.reserve(SLOTS)
    count = int(np.prod(memory.shape))
    for index, tensor in enumerate(memory._tensors):
        values = np.arange(index * count, (index + 1) * count).reshape(memory.shape).astype(memory.dtype)
        if isinstance(memory, DeviceMemory):
            tensor.update_inplace(values)
        else:
            tensor[:] = values
    return memory._tensors


slots, places = st.integers(0, SLOTS - 1), st.integers(0, LENGTH)


@kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(slots, slots, places, places), max_size=6))
def test_what_is_copied_from_slot_to_slot_is_the_same_on_a_device(kind: str, dtype: Number, copies):
    host, device = HostMemory(2, SHAPE, dtype), DeviceMemory(2, SHAPE, dtype, kind, PROVIDERS[kind])
    expected, found = filled(host), filled(device)
    for source, target, one, other in copies:
        if source != target and one != other:
            for memory in (host, device):
                memory.copy(source, target, min(one, other), max(one, other))
    for left, right in zip(expected, found, strict=True):
        np.testing.assert_array_equal(left, right.numpy())


@kinds
def test_a_device_gives_all_slots_at_once_and_never_moves_them(kind: str):
    memory = DeviceMemory(2, SHAPE, np.float32, kind, PROVIDERS[kind])
    assert memory.reserve(1)
    addresses = memory.addresses()
    assert len(set(addresses)) == 2
    assert not memory.reserve(SLOTS)
    assert memory.addresses() == addresses
    assert not any(tensor.numpy().any() for tensor in memory._tensors)


@cache
def graph() -> Any:
    return open_graph(ATTENTION_GRAPH, "cpu", 1).session


def session_on(device: Device, slots: int | None = 5, length: int = 64) -> OrtSession:
    manifest = dataclasses.replace(make_manifest(ATTENTION_HEAD), context_length=length)
    return OrtSession.over(Graph(graph(), device), manifest, slots=slots)


HOST, DEVICE = Device("cpu"), Device("cpu", own_memory=True)
texts = st.lists(st.integers(0, 40), min_size=1, max_size=9)
rows = st.dictionaries(st.integers(0, 4), st.integers(0, 40), min_size=1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.tuples(slots, places, texts), rows), max_size=12))
def test_sequences_of_different_lengths_that_advance_together_get_the_same_rows_on_a_device(passes):
    """Chunks of any length from any position on, and joint steps with idle rows between."""
    sessions = [session_on(HOST), session_on(DEVICE)]
    ends = [0] * 5
    for each in passes:
        if isinstance(each, dict):
            first, last = min(each), max(each)
            tokens = np.array([each.get(slot, 0) for slot in range(first, last + 1)], np.int32)
            if max(ends[first : last + 1]) >= 64:
                continue
            found = [session.step(tokens, ends[first : last + 1], first) for session in sessions]
            for slot in each:  # what the idle rows wrote lies behind the end of their slots
                ends[slot] += 1
        else:
            slot, start, text = each[0], min(each[1], ends[each[0]]), np.array(each[2], np.int32)
            found = [session.forward(text, start, range(len(text)), slot) for session in sessions]
            ends[slot] = start + len(text)
        np.testing.assert_array_equal(found[0], found[1])


def test_slots_of_a_device_are_not_taken_by_a_single_user():
    assert session_on(DEVICE, None).slots == 1
    assert session_on(DEVICE, 5).sibling().slots == 1
    assert session_on(DEVICE, 5).position_bytes == 0


def out_of_memory(*_: object) -> None:
    raise RuntimeError("CUDA error: out of memory")


def test_a_pass_without_memory_leaves_as_many_smaller_slots(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_module, "LEAST_CONTEXT", 16)
    sessions = [session_on(device) for device in (HOST, DEVICE)]
    for session in sessions:
        session.forward(IDS, 0, (), 3)
        with monkeypatch.context() as patch:
            patch.setattr(session, "_session", SimpleNamespace(run_with_iobinding=out_of_memory))
            with pytest.raises(DeviceMemoryError, match="the context is 32 tokens from now on"):
                session.step(IDS[:2], [0, 0])
        assert (session.slots, session.context_length) == (5, 32)
    found = [[session.forward(IDS, 0, range(len(IDS)), slot) for slot in range(5)] for session in sessions]
    np.testing.assert_array_equal(found[0], found[1])


def test_with_several_slots_no_step_is_recorded():
    def recorded(slots: int) -> list[str]:
        steps = Recorded(graph())
        device = Device("cpu", captures=True, own_memory=True)
        session = OrtSession.over(Graph(steps, device), make_manifest(ATTENTION_HEAD), slots=slots)
        session.forward(IDS[:1], 0, (0,))
        return steps.numbers

    assert recorded(1) == ["1"]
    assert recorded(2) == ["-1"]


def test_memory_that_a_device_does_not_have_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(DeviceMemory, "reserve", out_of_memory)
    with pytest.raises(DeviceMemoryError, match=r"^no memory for a key/value cache of 64 tokens .*; ask for fewer$"):
        session_on(DEVICE)


def test_a_sequence_goes_on_from_what_was_copied_on_the_device():
    expected = session_on(HOST).forward(IDS, 0, range(len(IDS)))
    session = session_on(DEVICE)
    session.forward(IDS, 0, (), 1)
    session.copy(1, 4, 0, 9)
    np.testing.assert_allclose(session.forward(IDS[9:], 9, range(5), 4), expected[9:], rtol=0.0, atol=1e-5)


def test_a_copy_that_fails_on_the_device_is_one_line_and_the_session_goes_on(monkeypatch: pytest.MonkeyPatch):
    session = session_on(DEVICE)
    session.forward(IDS, 0, (), 1)
    with monkeypatch.context() as patch:
        patch.setattr(DeviceMemory, "copy", broken)
        with pytest.raises(DeviceError, match=r"^keys and values could not be copied \(CUDA failure 700\)$"):
            session.copy(1, 4, 0, 9)
    np.testing.assert_array_equal(session.forward(IDS, 0, (13,)), session_on(HOST).forward(IDS, 0, (13,)))


def broken(*_: object) -> None:
    raise RuntimeError("CUDA failure 700\nat some line")
