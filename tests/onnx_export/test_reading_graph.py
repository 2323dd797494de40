"""The second graph of a converted folder (``keep+w8a8``): which tokens it reads, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import engine.loading as loading
from engine import ContractError, ExportError, ManifestError
from engine.errors import Cancelled
from engine.loading import load_model
from engine.model_folder.known_hashes import sha256_of
from engine.model_folder.manifest import Manifest, load_manifest
from engine.model_folder.parameters import count_parameters
from engine.runtime.graph import open_graph
from engine.runtime.reading_graph import ReadingGraph
from engine.runtime.session import OrtSession
from lsp_server.cli import main
from onnx_export.convert import convert, converted_bytes, split_precision
from onnx_export.gguf.header import read_header
from onnx_export.gguf.model import read_model
from tests.onnx_export.gguf.files import write_model

IDS = np.arange(20, 40, dtype=np.int32)


@pytest.fixture(scope="module", name="folder", params=["Q5_0", "Q4_1"])
def _folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``Q4_1`` has offsets, which the embedding needs in both graphs."""
    folder = tmp_path_factory.mktemp("reading")
    write_model(folder / "m.gguf", types=(request.param,))
    convert(folder / "m.gguf", folder / "two", reading=True)
    convert(folder / "m.gguf", folder / "one")
    return folder


@pytest.fixture(name="manifest")
def _manifest(folder: Path) -> Manifest:
    return load_manifest(folder / "two")


@pytest.fixture(name="session")
def _session(folder: Path, manifest: Manifest) -> OrtSession:
    return OrtSession.load(folder / "two", manifest, device="cpu")


@pytest.fixture(name="reading")
def _reading(folder: Path) -> Callable[[int], ReadingGraph]:
    opened = open_graph(folder / "two" / "reading.onnx", "cpu").session
    return lambda least: ReadingGraph(opened, least)


def test_the_folder_has_both_graphs_over_one_file_of_weights(folder: Path, manifest: Manifest) -> None:
    assert manifest.reading_file == "reading.onnx"
    assert manifest.precision == "keep"
    assert load_manifest(folder / "one").reading_file == ""
    sizes = {name: (folder / name / "model.onnx.data").stat().st_size for name in ("one", "two")}
    model = read_model(read_header(folder / "m.gguf"))
    assert sizes["one"] < sizes["two"] < 1.6 * converted_bytes(model, "keep", reading=True)
    counts = {count_parameters(folder / name, "model.onnx") for name in ("one", "two")}
    assert len(counts) == 1


def test_fewer_tokens_than_it_wants_are_read_as_without_it(
    folder: Path, session: OrtSession, reading: Callable[[int], ReadingGraph]
) -> None:
    session.read_with(reading(6))
    alone = OrtSession.load(folder / "one", load_manifest(folder / "one"), device="cpu")
    np.testing.assert_array_equal(session.forward(IDS[:9], 0, [5, 8]), alone.forward(IDS[:9], 0, [5, 8]))


def test_tokens_before_the_first_wanted_row_are_read_by_it(
    session: OrtSession, reading: Callable[[int], ReadingGraph]
) -> None:
    session.read_with(reading(1))
    assert session.forward(IDS[:7], 0, ()).shape[0] == 0
    session.read_with(None)
    expected = session.forward(IDS[7:], 7, [0, 5, 12])
    exact = session.forward(IDS, 0, [7, 12, 19])
    session.read_with(reading(7))
    found = session.forward(IDS, 0, [7, 12, 19])
    np.testing.assert_array_equal(found, expected)
    assert 0 < np.abs(found - exact).max() < 0.2 * np.abs(exact).max()
    assert session.reading_rows == 7


def test_every_slot_and_every_session_has_keys_of_its_own(
    session: OrtSession, reading: Callable[[int], ReadingGraph]
) -> None:
    session.read_with(reading(2))
    expected = session.forward(IDS, 0, [19])
    other = session.sibling()
    assert other.reading_rows == 2
    session.forward(IDS[::-1].copy(), 0, [19], 1)
    other.forward(IDS[::-1].copy(), 0, [19])
    np.testing.assert_array_equal(session.forward(IDS[19:], 19, [0]), expected)
    np.testing.assert_array_equal(session.forward(IDS, 0, [19], 1), expected)
    np.testing.assert_array_equal(other.forward(IDS, 0, [19]), expected)


def test_its_passes_are_broken_off(session: OrtSession, reading: Callable[[int], ReadingGraph]) -> None:
    session.read_with(reading(1))
    session.interruptible()()
    with pytest.raises(Cancelled):
        session.forward(IDS, 0, ())


@pytest.mark.parametrize("rows", [0, 8])
def test_loading_measures_once(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rows: int) -> None:
    monkeypatch.setattr(loading, "user_cache_folder", lambda name: tmp_path / name)
    measured = 0

    def run_both(narrow: Callable[[int], object], second: Callable[[int], object]) -> int:
        nonlocal measured
        measured += 1
        narrow(8)
        second(8)
        return rows

    monkeypatch.setattr(loading, "measured_rows", run_both)
    for _ in range(2):
        model = load_model(folder / "two", "cpu", 1, 256)
        assert model.session.reading_rows == (rows or None)
    assert measured == 1


def test_a_graph_that_is_changed_or_another_one_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in (folder / "two").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "reading.onnx").write_bytes((tmp_path / "model.onnx").read_bytes())
    with pytest.raises(ManifestError, match=r"reading\.onnx is damaged or altered"):
        load_model(tmp_path, "cpu", 1, 256)
    raw = json.loads((tmp_path / "midtoken.json").read_text(encoding="utf-8"))
    raw["files"]["reading.onnx"] = sha256_of(tmp_path / "reading.onnx")
    (tmp_path / "midtoken.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ContractError, match=r"reading\.onnx has other inputs than the model; convert it again"):
        load_model(tmp_path, "cpu", 1, 256)


@pytest.mark.parametrize("asked", ["keep+int4", "fp16+w8a8", "int8+w8a8", "+w8a8", "keep+", "keep+w8a8+w8a8", "fp16"])
def test_other_pairs_are_refused(asked: str) -> None:
    with pytest.raises(ExportError, match=r"a GGUF file converts to keep, .*keep\+w8a8 or int4\+w8a8, not to "):
        split_precision(asked)


def test_a_checkpoint_is_told_that_it_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), str(tmp_path / "out"), "--precision", "int4+w8a8"]) == 1
    assert "--precision int4+w8a8 is for GGUF files" in capsys.readouterr().err


@pytest.mark.parametrize(("kept", "expected"), [(0, "not used: it is not faster here"), (8, "reads where 8 tokens")])
def test_inspect_tells_what_was_chosen(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kept: int, expected: str
) -> None:
    monkeypatch.setattr(loading, "known_rows", lambda manifest, threads, place: kept)
    assert main(["inspect", "--model", str(folder / "two"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["second_graph"].startswith(expected)
    assert main(["inspect", "--model", str(folder / "one")]) == 0
    assert "second graph" not in capsys.readouterr().out
