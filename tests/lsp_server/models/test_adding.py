"""Adding models: all or nothing, once for each source, and only if there is enough space."""

import dataclasses
import multiprocessing
import os
import shutil
import threading
from pathlib import Path

import pytest

from engine import Cancelled, ExportError, RequestError
from lsp_server.models import adding
from lsp_server.models.adding import add, plan
from lsp_server.models.converting import Precision
from lsp_server.models.registry import Registry
from lsp_server.models.store import RECORD, Added, ModelStore
from tests.lsp_server.commands.command_line import make_model_folder
from tests.lsp_server.models.fake_machine import (
    GGUF,
    FakeConverter,
    put_file,
    put_ollama,
    put_repository,
    registry_at,
)
from tests.lsp_server.models.test_table import checkpoint_files


def put(registry: Registry, model: str | Path, name: str | None = None, precision: Precision | None = None) -> Added:
    return add(registry, plan(registry, model, name, precision), lambda share, doing: None)


def left_in(store: Path) -> list[str]:
    """The content of the store, except its lock."""
    return sorted(path.name for path in store.iterdir() if path.name != ".lock") if store.exists() else []


@pytest.fixture
def converter() -> FakeConverter:
    return FakeConverter()


@pytest.fixture
def registry(tmp_path: Path, converter: FakeConverter) -> Registry:
    registry = registry_at(tmp_path, converter)
    put_ollama(registry.machine.home / ".ollama/models", "smol:135m")
    return registry


def test_an_added_model_takes_the_place_of_its_source_in_the_table(registry: Registry):
    shares: list[float] = []
    what = plan(registry, "smol:135m")
    assert not what.is_there
    added = add(registry, what, lambda share, doing: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert added.folder.parent == registry.machine.store
    (row,) = [entry for entry in registry.table().entries if entry.source != "bundled"]
    assert (row.name, row.source, row.state, row.reason) == ("smol:135m", "added", "ready", "")
    assert (row.facts.parameters, row.facts.quantization, row.facts.licence) == (135000000, "Q4_1", "apache-2.0")
    assert registry.folder("smol:135m") == added.folder
    assert len(left_in(registry.machine.store)) == 1


def test_the_same_source_twice_is_free(registry: Registry, converter: FakeConverter):
    first = put(registry, "smol:135m")
    blob = registry.machine.home / ".ollama/models/blobs"
    for way in ("smol:135m", next(blob.iterdir())):
        assert plan(registry, way).is_there
        assert put(registry, way) == first
    os.utime(next(blob.iterdir()), (1, 1))  # only the time stamp changed
    assert put(registry, "smol:135m") == first
    assert len(converter.conversions) == 1


def test_another_precision_is_another_conversion_and_stays(registry: Registry, converter: FakeConverter):
    put(registry, "smol:135m", precision="int8")
    put(registry, "smol:135m")
    put(registry, "smol:135m", precision="keep")
    assert [precision for _, precision in converter.conversions] == ["int8", "keep"]
    assert len(left_in(registry.machine.store)) == 1


def test_a_source_that_has_changed_is_noticed(registry: Registry, converter: FakeConverter):
    put(registry, "smol:135m")
    put_ollama(registry.machine.home / ".ollama/models", "smol:135m", GGUF.replace(b"Q4_1", b"Q8_0"))
    row = registry.table().find("smol:135m")
    assert row is not None
    assert row.state == "ready"
    assert "its source in Ollama has changed; 'midtoken models add smol:135m' takes the new one" in row.reason
    put(registry, "smol:135m")
    row = registry.table().find("smol:135m")
    assert row is not None
    assert (row.reason, row.facts.quantization) == ("", "Q8_0")
    assert len(converter.conversions) == 2
    assert len(left_in(registry.machine.store)) == 1


def test_a_file_that_is_written_anew_in_its_place(tmp_path: Path, registry: Registry):
    path = put_file(tmp_path / "my model.gguf")
    put(registry, path)
    assert registry.folder(path) == registry.folder("my model")
    path.write_bytes(GGUF.replace(b"8192", b"4096"))
    row = registry.table().find("my model")
    assert row is not None
    assert "its source in path has changed" not in row.reason
    assert f"{path} has changed" in row.reason
    assert not plan(registry, "my model").is_there


@pytest.mark.parametrize("order", [("int4", "keep"), ("keep", "int4")])
def test_a_file_that_was_added_twice_means_the_one_that_kept_its_blocks(
    tmp_path: Path, registry: Registry, order: tuple[Precision, ...]
):
    path = put_file(tmp_path / "mine.gguf")
    for name, precision in zip("ab", order, strict=True):
        put(registry, path, name, precision)
    assert registry.folder(path) == registry.folder("ab"[order.index("keep")])


def test_a_source_that_is_gone_is_not_needed_any_more(tmp_path: Path, registry: Registry):
    path = put_file(tmp_path / "mine.gguf")
    put(registry, path)
    path.unlink()
    row = registry.table().find("mine")
    assert row is not None
    assert (row.state, row.reason) == ("ready", "")
    with pytest.raises(ExportError, match="cannot be read"):
        plan(registry, "mine")


def test_two_files_of_one_name(tmp_path: Path, registry: Registry):
    first, second = put_file(tmp_path / "a/m.gguf"), put_file(tmp_path / "b/m.gguf", GGUF + b" ")
    put(registry, first)
    with pytest.raises(RequestError, match="another added model is called 'm'; give this one a name with --name"):
        plan(registry, second)
    assert put(registry, second, "other").name == "other"
    assert {added.name for added in registry.store.added()} == {"m", "other"}
    assert put(registry, second).name == "other"


@pytest.mark.parametrize("name", ["bundled", "Bundled", "", " x", "a\nb", "../x", "-x", "x" * 300, "a\x1bb"])
def test_names_that_no_model_can_have(registry: Registry, name: str):
    with pytest.raises(RequestError):
        plan(registry, "smol:135m", name or " ")


@pytest.mark.parametrize("name", ["a:b", "a-b", "a/b", "A-B", "ä", "con"])
def test_names_have_folders_of_their_own(registry: Registry, name: str):
    names = ("a:b", "a-b", "a/b", "A-B")
    for one in names:
        put(registry, "smol:135m", one)
    added = put(registry, "smol:135m", name)
    assert {one.name for one in registry.store.added()} == {*names, name}
    assert added.folder.parent == registry.machine.store
    assert added.folder.name.isascii()


def test_a_failure_leaves_nothing_and_what_was_there_stays(registry: Registry, converter: FakeConverter):
    before = put(registry, "smol:135m")
    put_ollama(registry.machine.home / ".ollama/models", "smol:135m", GGUF + b" more")

    for error in (ExportError("a tensor is odd"), OSError(28, "No space left on device"), KeyboardInterrupt()):

        def fail(out: Path, error: BaseException = error) -> None:
            raise error

        converter.during = fail
        expected = ExportError if isinstance(error, OSError) else type(error)
        with pytest.raises(expected) as raised:
            put(registry, "smol:135m")
        if isinstance(error, OSError):
            assert "cannot be written (No space left on device); make room" in str(raised.value)
        assert left_in(registry.machine.store) == [before.folder.name]
        assert registry.folder("smol:135m") == before.folder


def test_cancelled(registry: Registry):
    with pytest.raises(Cancelled):
        add(registry, plan(registry, "smol:135m"), lambda share, doing: None, lambda: True)
    assert left_in(registry.machine.store) == []


def test_a_source_that_changes_while_it_is_read(registry: Registry, converter: FakeConverter):
    blob = next((registry.machine.home / ".ollama/models/blobs").iterdir())

    def write(data: bytes) -> None:
        blob.write_bytes(data)

    converter.during = lambda out: write(GGUF + b" and more")
    with pytest.raises(ExportError, match="has changed while it was read"):
        put(registry, "smol:135m")
    converter.during = lambda out: blob.unlink()
    with pytest.raises(ExportError, match="cannot be read any more"):
        put(registry, "smol:135m")
    assert left_in(registry.machine.store) == []


def test_two_at_once_are_refused(registry: Registry, converter: FakeConverter):
    inside, go_on = threading.Event(), threading.Event()

    def wait(out: Path) -> None:
        inside.set()
        assert go_on.wait(10)

    converter.during = wait
    thread = threading.Thread(target=put, args=(registry, "smol:135m"))
    thread.start()
    assert inside.wait(10)
    try:
        other = registry_at(registry.machine.store.parent)
        with pytest.raises(ExportError, match="another process is adding or removing a model"):
            put(other, "smol:135m", "second")
    finally:
        go_on.set()
        thread.join()
    assert [added.name for added in registry.store.added()] == ["smol:135m"]


def _die(folder: Path) -> None:
    def during(out: Path) -> None:
        os._exit(9)

    put(registry_at(folder, FakeConverter(during)), "smol:135m")


def test_what_a_killed_process_leaves_is_swept_away(registry: Registry, tmp_path: Path):
    process = multiprocessing.get_context("spawn").Process(target=_die, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    (left,) = left_in(registry.machine.store)
    assert left.startswith(".unfinished-")
    assert [entry.name for entry in registry.table().entries] == ["bundled", "smol:135m"]
    added = put(registry, "smol:135m")
    assert left_in(registry.machine.store) == [added.folder.name]


def test_no_room_on_the_disk(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(adding, "disk_usage", lambda path: usage._replace(free=1000))
    what = plan(registry, "smol:135m")
    with pytest.raises(ExportError, match=r"has 0.0 GB free and the model takes 0.1 GB; make room there"):
        add(registry, what, lambda share, doing: None)
    add(registry, what, lambda share, doing: None, force=True)


def test_no_room_in_memory(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    what = plan(registry, "smol:135m")
    facts = dataclasses.replace(what.entry.facts, bytes=10**12)
    what = dataclasses.replace(what, entry=dataclasses.replace(what.entry, facts=facts))
    monkeypatch.setattr(adding, "available_bytes", lambda: 2 * 10**9)
    with pytest.raises(ExportError, match=r"2.0 GB of memory are free and converting takes up to"):
        add(registry, what, lambda share, doing: None)
    monkeypatch.setattr(adding, "available_bytes", lambda: None)
    add(registry, what, lambda share, doing: None)


def test_what_cannot_be_added(registry: Registry, tmp_path: Path):
    put_ollama(registry.machine.home / ".ollama/models", "broken:1", b"nothing")
    make_model_folder(tmp_path / "store/by-hand")
    make_model_folder(tmp_path / "own")
    cases: list[tuple[str | Path, type[Exception], str]] = [
        ("broken:1", ExportError, "broken:1 cannot be used: .* is no GGUF file"),
        ("unknown", RequestError, "no model is called 'unknown'"),
        ("bundled", RequestError, "'bundled' is ready as it is"),
        ("by-hand", RequestError, "was put into the store by hand"),
        (tmp_path / "own", RequestError, "is a model folder already: --model .*own uses it"),
        (tmp_path / "nothing.gguf", RequestError, "cannot be read"),
    ]
    for model, error, text in cases:
        with pytest.raises(error, match=text):
            plan(registry, model)


def test_a_graph_of_a_cache_is_copied_with_real_files(tmp_path: Path):
    files = checkpoint_files(
        **{"onnx/model_q4.onnx": b"graph", "onnx/model_q4.onnx_data": b"12", "onnx/model.onnx": b"x"}
    )
    snapshot = put_repository(tmp_path / "home/.cache/huggingface/hub", "org/web", files)
    registry = registry_at(tmp_path)
    added = put(registry, "org/web")
    names = {path.relative_to(added.folder).as_posix() for path in added.folder.rglob("*") if path.is_file()}
    assert names == {"config.json", "tokenizer.json", "onnx/model_q4.onnx", "onnx/model_q4.onnx_data", RECORD}
    assert not any(path.is_symlink() for path in added.folder.rglob("*"))
    assert (added.folder / "onnx/model_q4.onnx").read_bytes() == b"graph"
    assert snapshot.is_dir()
    row = registry.table().find("org/web")
    assert row is not None
    assert (row.state, row.facts.licence) == ("ready", "mit")


def test_removing(registry: Registry):
    put(registry, "smol:135m")
    assert registry.store.remove("smol:135m").name == "smol:135m"
    assert left_in(registry.machine.store) == []
    row = registry.table().find("smol:135m")
    assert row is not None
    assert row.state == "convertible"
    with pytest.raises(RequestError, match="no added model is called 'smol:135m'"):
        registry.store.remove("smol:135m")


@pytest.mark.parametrize(
    "record", [b"", b"[]", b"{", b'{"name": 1}', b'{"name": "x", "origin": {}}', b"\xff", b"[" * 9999]
)
def test_records_that_are_damaged_leave_a_model_that_works(tmp_path: Path, record: bytes):
    make_model_folder(tmp_path / "store/model-1")
    put_file(tmp_path / "store/model-1" / RECORD, record)
    assert ModelStore(tmp_path / "store").added() == (Added("model-1", tmp_path / "store/model-1"),)
    row = registry_at(tmp_path).table().find("model-1")
    assert row is not None
    assert row.state == "ready"


def test_a_store_that_cannot_be_written(tmp_path: Path):
    put_file(tmp_path / "store", b"a file")
    registry = registry_at(tmp_path)
    put_ollama(registry.machine.home / ".ollama/models", "smol:135m")
    with pytest.raises(ExportError, match=r"the store .* cannot be written"):
        put(registry, "smol:135m")
