"""The session on a real graph: a layer of GroupQueryAttention whose past and present are one buffer."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine import BUNDLED_MODEL
from engine.completer import Completer
from engine.errors import Cancelled, DeviceError, WeightsError
from engine.model_folder.manifest import Manifest
from engine.runtime.graph import Device, cuda_device_count
from engine.runtime.kv_buffers import BATCH_SLOTS
from engine.runtime.session import OrtSession, slots_of
from engine.runtime.token_cache import TokenCache
from engine.types import FloatArray, IdArray
from tests.fakes import ATTENTION_GRAPH, ATTENTION_HEAD, make_manifest

IDS = np.array([3, 7, 300, 9, 9, 9, 1, 2, 3, 3, 511, 0, 42, 7], np.int32)
EVERY_ROW = tuple(range(len(IDS)))
needs_gpu = pytest.mark.skipif(cuda_device_count() == 0, reason="no NVIDIA device is visible")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=needs_gpu)])
def session(request: pytest.FixtureRequest, folder: Path, manifest: Manifest) -> OrtSession:
    loaded = OrtSession.load(folder, manifest, device=request.param, threads=1)
    assert loaded.device.kind == request.param
    return loaded


def fresh(ids: IdArray) -> FloatArray:
    """All rows of logits of ``ids``, computed in one pass of a new session."""
    loaded = OrtSession.load(ATTENTION_GRAPH.parent, graph_manifest(), device="cpu", threads=1)
    return loaded.forward(ids, 0, range(len(ids)))


def assert_close(actual: FloatArray, expected: FloatArray) -> None:
    # Another order of summation in the kernels may change the last bits. A wrong history changes the first digits.
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=1e-5)


def graph_manifest() -> Manifest:
    return dataclasses.replace(make_manifest(ATTENTION_HEAD), model_file=ATTENTION_GRAPH.name)


def test_logits_have_one_row_for_each_row_asked_for(session: OrtSession):
    logits = session.forward(IDS, 0, EVERY_ROW)
    assert logits.shape == (len(IDS), ATTENTION_HEAD)
    assert logits.dtype == np.float32


def test_the_graph_attends_to_what_came_before(session: OrtSession):
    # Without this the tests below would compare things that cannot differ.
    same_token = session.forward(IDS, 0, EVERY_ROW)[[3, 4, 5]]
    assert np.abs(same_token[0] - same_token[1]).max() > 1e-2
    assert np.abs(same_token[1] - same_token[2]).max() > 1e-2


@pytest.mark.parametrize("cut", [1, 5, 13])
def test_a_chunked_prefill_equals_a_single_one(session: OrtSession, cut: int):
    first = session.forward(IDS[:cut], 0, range(cut))
    second = session.forward(IDS[cut:], cut, range(len(IDS) - cut))
    assert_close(np.concatenate([first, second]), fresh(IDS))


def test_token_by_token_equals_a_single_prefill(session: OrtSession):
    rows = [session.forward(IDS[i : i + 1], i, (0,))[0] for i in range(len(IDS))]
    assert_close(np.stack(rows), fresh(IDS))


@pytest.mark.parametrize("kept", [0, 1, 6, 13])
def test_a_rewound_cache_equals_a_fresh_one(session: OrtSession, kept: int):
    session.forward(IDS, 0, ())
    other = np.array([400, 8, 8], np.int32)
    rewound = session.forward(other, kept, range(3))
    assert_close(rewound, fresh(np.concatenate([IDS[:kept], other]))[kept:])


def test_rewinding_twice_and_going_on_token_by_token(session: OrtSession):
    session.forward(IDS, 0, ())
    session.forward(IDS[::-1].copy(), 4, ())
    session.forward(np.array([5, 6], np.int32), 2, ())
    last = session.forward(np.array([7], np.int32), 4, (0,))
    assert_close(last[0], fresh(np.array([*IDS[:2], 5, 6, 7], np.int32))[-1])


@pytest.mark.parametrize("rows", [(0,), (13,), (2, 3, 11), (13, 0), ()], ids=str)
def test_some_rows_are_those_rows_of_all(session: OrtSession, rows: tuple[int, ...]):
    logits = session.forward(IDS, 0, rows)
    assert logits.shape == (len(rows), ATTENTION_HEAD)
    assert_close(logits, fresh(IDS)[list(rows)])


def test_returned_logits_are_not_overwritten_by_the_next_call(session: OrtSession):
    before = session.forward(IDS, 0, EVERY_ROW)
    copy = before.copy()
    session.forward(IDS[::-1].copy(), 0, EVERY_ROW)
    np.testing.assert_array_equal(before, copy)


@pytest.mark.parametrize(
    ("own_memory", "shared", "batch", "for_one_user", "of_sixteen"),
    [
        (False, True, "batch", BATCH_SLOTS, 16),
        (True, True, "batch", 1, 16),
        (False, False, "batch", 1, 1),
        (False, True, 1, 1, 1),
    ],
)
def test_sequences_are_held_side_by_side_where_the_graph_takes_them(
    manifest: Manifest, own_memory, shared, batch, for_one_user, of_sixteen
):
    graph = SimpleNamespace(get_inputs=lambda: [SimpleNamespace(name="input_ids", shape=[batch, "new"])])
    layout = dataclasses.replace(manifest.key_value, shared=shared)
    changed, device = dataclasses.replace(manifest, key_value=layout), Device("cpu", own_memory=own_memory)
    assert slots_of(graph, changed, device, None) == for_one_user
    assert slots_of(graph, changed, device, 16) == of_sixteen


PASTS = (IDS[:5], IDS[3:12], IDS[:1], IDS[4:10])
NEXT = np.array([11, 12, 13, 14], np.int32)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_batch_of_sequences_of_different_lengths_equals_one_by_one(folder: Path, manifest: Manifest, count: int):
    loaded = OrtSession.load(folder, manifest, device="cpu", threads=1)
    assert loaded.slots > 4
    for slot, past in enumerate(PASTS):
        loaded.forward(past, 0, (), slot)
    lengths = [len(past) for past in PASTS]
    batch = loaded.step(NEXT[:count], lengths[:count])
    assert batch.shape == (count, ATTENTION_HEAD)
    assert batch.dtype == np.float32
    alone = [loaded.forward(NEXT[slot : slot + 1], lengths[slot], (0,), slot)[0] for slot in range(count)]
    # To the last bit: the other sequences of a batch do not affect a sequence.
    np.testing.assert_array_equal(batch, np.stack(alone))
    for row, past, token in zip(batch, PASTS, NEXT, strict=False):
        assert_close(row, fresh(np.append(past, token))[-1])


def test_what_a_batch_wrote_is_gone_on_from_in_every_slot(folder: Path, manifest: Manifest):
    loaded = OrtSession.load(folder, manifest, device="cpu", threads=1)
    for slot, past in enumerate(PASTS):
        loaded.forward(past, 0, (), slot)
    lengths = np.array([len(past) for past in PASTS])
    sequences = [past.copy() for past in PASTS]
    for number in range(3):
        tokens = NEXT + number
        batch = loaded.step(tokens, (lengths + number).tolist())
        sequences = [np.append(ids, token).astype(np.int32) for ids, token in zip(sequences, tokens, strict=True)]
    for row, ids in zip(batch, sequences, strict=True):
        assert_close(row, fresh(ids)[-1])


def test_a_slot_goes_on_from_what_was_copied_from_another(folder: Path, manifest: Manifest):
    loaded = OrtSession.load(folder, manifest, device="cpu", threads=1)
    loaded.forward(IDS, 0, (), 0)
    other = np.concatenate([IDS[:4], IDS[::-1]]).astype(np.int32)
    loaded.forward(other, 0, (), 5)
    # The first four are the same in both.
    loaded.copy(0, 5, 4, 9)
    assert_close(loaded.forward(NEXT, 9, (3,), 5)[0], fresh(np.concatenate([IDS[:9], NEXT]))[-1])
    assert_close(loaded.forward(NEXT, len(IDS), (3,), 0)[0], fresh(np.concatenate([IDS, NEXT]))[-1])


def test_room_for_further_slots_is_made_when_they_are_used(folder: Path, manifest: Manifest):
    loaded = OrtSession.load(folder, manifest, device="cpu", threads=1)
    loaded.forward(IDS, 0, (), 0)
    for slot in range(1, loaded.slots):
        loaded.copy(0, slot, 0, len(IDS))
    # The first slot has moved to larger buffers as often, with its content.
    rows = loaded.step(np.full(loaded.slots, 7, np.int32), [len(IDS)] * loaded.slots)
    expected = fresh(np.append(IDS, np.int32(7)))[-1]
    for row in rows:
        assert_close(row, expected)


def test_without_memory_for_a_further_slot_the_error_says_so_and_the_first_still_serves(
    folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
):
    loaded = OrtSession.load(folder, manifest, device="cpu", threads=1)
    loaded.forward(IDS, 0, (), 0)

    def no_memory(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr("engine.runtime.kv_memory.mmap.mmap", no_memory)
        with pytest.raises(DeviceError, match=r"^no memory for .*ask for fewer$"):
            loaded.copy(0, 1, 0, 4)
    assert_close(loaded.forward(NEXT, len(IDS), (3,))[0], fresh(np.concatenate([IDS, NEXT]))[-1])


def test_a_batch_of_the_bundled_model_says_what_one_by_one_does():
    completer = Completer.load(device="cpu")
    loaded = OrtSession.load(BUNDLED_MODEL, completer.manifest, device="cpu")
    prompt = np.array(completer.tokenizer.encode("import os\n\n\ndef read(path):\n    with"), np.int32)
    cache, alone = TokenCache(loaded), TokenCache(loaded.sibling())
    sequences = [np.append(prompt, token).astype(np.int32) for token in range(300, 304)]
    cache.prefill(prompt, (len(prompt) - 1,), lambda: None)
    for row, ids in zip(cache.rows_after(sequences, lambda: None), sequences, strict=True):
        expected = alone.row_after(ids, lambda: None)
        # Kernels of quantised weights may round differently for another number of rows; here they do not.
        assert np.linalg.norm(row - expected) <= 0.02 * np.linalg.norm(expected)
        assert int(np.argmax(row)) == int(np.argmax(expected))


def test_the_token_cache_over_the_graph_equals_a_fresh_pass(session: OrtSession):
    cache = TokenCache(session, chunk=4)
    cache.prefill(IDS, (len(IDS) - 1,), lambda: None)
    changed = np.concatenate([IDS[:9], [77, 78]]).astype(np.int32)
    rows, reused = cache.prefill(changed, (9, 10), lambda: None)
    assert reused == 9
    assert_close(rows, fresh(changed)[9:])
    longer = np.append(changed, np.int32(5))
    assert_close(cache.row_after(longer, lambda: None), fresh(longer)[-1])


def computed_rows(session: OrtSession, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fills up with the number of the head's rows that each pass computes."""
    found, numbers = [], session._numbers

    def noted(logits: FloatArray) -> FloatArray:
        found.append(logits.shape[1])
        return numbers(logits)

    monkeypatch.setattr(session, "_numbers", noted)
    return found


def test_a_prefill_computes_no_row_of_the_head_that_nobody_asked_for(
    folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
):
    session = OrtSession.load(folder, manifest, device="cpu", threads=1)
    computed = computed_rows(session, monkeypatch)
    cache = TokenCache(session, chunk=4)
    cache.prefill(IDS, (9, 10, 13), lambda: None)
    assert sum(computed) == 3
    assert computed[:2] == [0, 0]
    cache.rows_after([np.append(IDS[:6], token).astype(np.int32) for token in (5, 8)], lambda: None)
    assert sum(computed) == 3 + 1  # a step computes a row for each of its sequences
    assert_close(cache.row_after(IDS, lambda: None), fresh(IDS)[-1])


def test_a_head_that_takes_no_empty_input_is_asked_for_a_row(
    folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
):
    session = OrtSession.load(folder, manifest, device="cpu", threads=1)
    computed, run = computed_rows(session, monkeypatch), session._run

    def refusing(ids: IdArray, starts: Any, rows: list[int], first: int) -> FloatArray:
        if not rows:
            raise DeviceError("the model failed while running (a reshape)")
        return run(ids, starts, rows, first)

    monkeypatch.setattr(session, "_run", refusing)
    for start in (0, 4, 8):
        assert session.forward(IDS[start : start + 4], start, ()).shape == (0, ATTENTION_HEAD)
    assert computed == [1, 1, 1]
    assert_close(session.forward(IDS[12:], 12, (0, 1)), fresh(IDS)[12:])


def test_the_context_can_be_shorter_than_the_model_allows(folder: Path, manifest: Manifest):
    loaded = OrtSession.load(folder, manifest, device="cpu", context_length=8)
    assert loaded.context_length == 8
    loaded.forward(IDS[:8], 0, ())
    with pytest.raises(AssertionError, match="full"):
        loaded.forward(IDS[:1], 8, ())


def test_the_context_is_never_longer_than_the_model_allows(folder: Path, manifest: Manifest):
    assert OrtSession.load(folder, manifest, device="cpu", context_length=10**6).context_length == 256


def test_a_full_context_works_to_the_last_position(folder: Path, manifest: Manifest):
    ids = (np.arange(256, dtype=np.int32) * 7) % ATTENTION_HEAD
    loaded = OrtSession.load(folder, manifest, device="cpu")
    loaded.forward(ids[:255], 0, ())
    assert_close(loaded.forward(ids[255:], 255, (0,))[0], fresh(ids)[-1])


def test_the_provider_in_use_is_reported(session: OrtSession):
    assert session.provider == {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[session.device.kind]


def test_a_failing_run_is_a_device_error_and_the_next_one_works(folder: Path, manifest: Manifest):
    loaded = OrtSession.load(folder, manifest, device="cpu")
    with pytest.raises(DeviceError) as caught:
        loaded.forward(np.array([ATTENTION_HEAD], np.int32), 0, (0,))  # the embedding has no such row
    assert "\n" not in str(caught.value)
    assert_close(loaded.forward(IDS, 0, EVERY_ROW), fresh(IDS))


def test_a_run_without_memory_leaves_a_smaller_cache(folder: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch):
    loaded = OrtSession.load(folder, dataclasses.replace(manifest, context_length=1024), device="cpu", threads=1)
    cache = TokenCache(loaded)
    cache.prefill(IDS, (3,), lambda: None)

    class Failing:
        def run_with_iobinding(self, *_: object) -> None:
            raise RuntimeError("BFCArena: Failed to allocate memory for requested buffer of size 1")

    with monkeypatch.context() as patch:
        patch.setattr(loaded, "_session", Failing())
        with pytest.raises(DeviceError, match=r"ran out of memory .*; the context is 512 tokens from now on$"):
            cache.prefill(np.append(IDS, IDS).astype(np.int32), (20,), lambda: None)
    assert cache.capacity == 512
    # What was in the larger buffers is computed again, because it is lost.
    rows, reused = cache.prefill(IDS, (len(IDS) - 1,), lambda: None)
    assert reused == 0
    assert_close(rows, fresh(IDS)[-1:])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_told(session: OrtSession, monkeypatch: pytest.MonkeyPatch, value: float):
    row = np.zeros(ATTENTION_HEAD, np.float32)
    row[17] = value
    for bad in (row, np.full(ATTENTION_HEAD, -np.inf, np.float32)):
        with pytest.raises(WeightsError, match=r"^toy computes no numbers .* copy or export the model again"):
            session._numbers(np.stack([np.zeros_like(row), bad]))


def test_what_a_model_rules_out_and_what_only_pads_may_be_infinite(folder: Path):
    loaded = OrtSession.load(folder, make_manifest(300, head=ATTENTION_HEAD), device="cpu", threads=1)
    row = np.zeros((1, ATTENTION_HEAD), np.float32)
    row[0, 3], row[0, 300:] = -np.inf, np.nan
    assert loaded._numbers(row) is row


def test_a_pass_that_is_broken_off_says_so_and_the_next_one_is_as_if_nothing_was(session: OrtSession):
    before = session.forward(IDS, 0, EVERY_ROW)
    interrupt = session.interruptible()
    session.forward(IDS[:2], 0, [1])
    interrupt()
    for _ in range(2):
        with pytest.raises(Cancelled):
            session.forward(IDS, 0, EVERY_ROW)
    later = session.interruptible()
    interrupt()  # too late: it stops no pass of another request
    assert_close(session.forward(IDS, 0, EVERY_ROW), before)
    later()
    with pytest.raises(Cancelled):
        session.step(IDS[:2], [3, 4])


def test_what_was_saved_comes_back_as_it_was(session: OrtSession):
    if not session.position_bytes:
        pytest.skip("nothing is saved of a slot that is not in the memory of the host")
    after = session.forward(IDS, 0, [len(IDS) - 1])
    saved = session.save(0, len(IDS) - 1)
    session.forward(IDS[::-1].copy(), 0, [])
    session.restore(saved, 0, 2, len(IDS) - 1)
    session.forward(IDS[:2], 0, [])
    assert_close(session.forward(IDS[-1:], len(IDS) - 1, [0]), after)
