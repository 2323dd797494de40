"""The session on graphs whose past and present are different tensors: plain operators, and fused attention."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DeviceError, DeviceMemoryError
from engine.model_folder.manifest import GraphNames, Manifest
from engine.runtime.session import OrtSession
from engine.runtime.token_cache import TokenCache
from engine.types import FloatArray, IdArray
from tests.fakes import ATTENTION_GRAPH, ATTENTION_HEAD, SEPARATE_GRAPH, make_manifest

IDS = np.array([3, 7, 300, 9, 9, 9, 1, 2, 3, 3, 511, 0, 42, 7], np.int32)


def manifest_of(graph: Path) -> Manifest:
    manifest = make_manifest(ATTENTION_HEAD)
    names = GraphNames()
    if graph == SEPARATE_GRAPH:
        names = dataclasses.replace(names, position_ids="position_ids", logits_positions=None)
    layout = dataclasses.replace(manifest.key_value, shared=False)
    return dataclasses.replace(manifest, graph=names, key_value=layout, model_file=graph.name)


def load(graph: Path) -> OrtSession:
    return OrtSession.load(graph.parent, manifest_of(graph), device="cpu", threads=1)


@pytest.fixture(params=[SEPARATE_GRAPH, ATTENTION_GRAPH], ids=["plain operators", "fused attention"])
def graph(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def fresh(graph: Path, ids: IdArray) -> FloatArray:
    return load(graph).forward(ids, 0, range(len(ids)))


def assert_close(actual: FloatArray, expected: FloatArray) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=1e-5)


def test_the_graph_attends_to_what_came_before_and_to_positions():
    rows = fresh(SEPARATE_GRAPH, IDS)[[3, 4, 5]]
    assert np.abs(rows[0] - rows[1]).max() > 1e-2
    assert np.abs(rows[1] - rows[2]).max() > 1e-2


def test_token_by_token_equals_a_single_pass(graph: Path):
    session = load(graph)
    rows = [session.forward(IDS[i : i + 1], i, (0,))[0] for i in range(len(IDS))]
    assert_close(np.stack(rows), fresh(graph, IDS))


@pytest.mark.parametrize("kept", [0, 1, 6, 13])
def test_a_rewound_cache_equals_a_fresh_one(graph: Path, kept: int):
    session = load(graph)
    session.forward(IDS, 0, ())
    other = np.array([400, 8, 8], np.int32)
    expected = fresh(graph, np.concatenate([IDS[:kept], other]))[kept:]
    assert_close(session.forward(other, kept, range(3)), expected)
    # And again from the same place, over the old content.
    assert_close(session.forward(other, kept, (2,)), expected[2:])


@pytest.mark.parametrize("rows", [(0,), (13,), (2, 3, 11), ()], ids=str)
def test_some_rows_are_those_rows_of_all(graph: Path, rows: tuple[int, ...]):
    logits = load(graph).forward(IDS, 0, rows)
    assert logits.shape == (len(rows), ATTENTION_HEAD)
    assert_close(logits, fresh(graph, IDS)[list(rows)])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 5)), min_size=1, max_size=6), st.integers(0, 2**31))
def test_any_walk_of_going_on_and_back_ends_where_a_single_pass_does(walk: list[tuple[float, int]], seed: int):
    rng = np.random.default_rng(seed)
    session = load(SEPARATE_GRAPH)
    ids = np.zeros(0, np.int32)
    for share, count in walk:
        start = int(share * len(ids))
        new = rng.integers(0, ATTENTION_HEAD, count, np.int32)
        last = session.forward(new, start, (count - 1,))
        ids = np.concatenate([ids[:start], new]).astype(np.int32)
    assert_close(last[0], fresh(SEPARATE_GRAPH, ids)[-1])


def test_one_sequence_is_held_and_the_token_cache_works_with_one(graph: Path):
    session = load(graph)
    assert session.slots == 1
    cache = TokenCache(session, chunk=4)
    cache.prefill(IDS, (len(IDS) - 1,), lambda: None)
    changed = np.concatenate([IDS[:9], [77, 78]]).astype(np.int32)
    rows, reused = cache.prefill(changed, (9, 10), lambda: None)
    assert reused == 9
    assert_close(rows, fresh(graph, changed)[9:])


def test_siblings_do_not_share_their_tensors(graph: Path):
    session = load(graph)
    session.forward(IDS, 0, ())
    other = session.sibling()
    other.forward(IDS[::-1].copy(), 0, ())
    assert_close(session.forward(IDS[:1], len(IDS), (0,))[0], fresh(graph, np.append(IDS, IDS[:1]))[-1])


def test_without_memory_for_a_cut_the_error_says_so(graph: Path, monkeypatch: pytest.MonkeyPatch):
    session = load(graph)
    session.forward(IDS, 0, ())

    def no_memory(*_: object) -> None:
        raise MemoryError("unable to allocate")

    with monkeypatch.context() as patch:
        patch.setattr("engine.runtime.kv_tensors.np.ascontiguousarray", no_memory)
        with pytest.raises(DeviceError, match=r"^no memory for .*ask for fewer$"):
            session.forward(IDS[:1], 4, (0,))
    assert_close(session.forward(IDS[:1], 4, (0,))[0], fresh(graph, np.append(IDS[:4], IDS[:1]))[-1])


def test_what_is_not_for_want_of_memory_is_not_called_so(graph: Path, monkeypatch: pytest.MonkeyPatch):
    session = load(graph)
    session.forward(IDS, 0, ())

    def broken(*_: object) -> None:
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered\nmore")

    monkeypatch.setattr("engine.runtime.kv_tensors.np.ascontiguousarray", broken)
    with pytest.raises(
        DeviceError, match=r"^a key/value cache of 4 tokens cannot be made \(CUDA failure 700"
    ) as caught:
        session.forward(IDS[:1], 4, (0,))
    assert not isinstance(caught.value, DeviceMemoryError)
    assert "more" not in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)
