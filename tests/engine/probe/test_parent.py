"""A model is tried in a process of its own, whatever it does there."""

import dataclasses
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import BUNDLED_MODEL, CancellationToken, Cancelled, ModelFolderError, probe_model
from engine.model_folder.known_hashes import sha256_of
from engine.model_folder.manifest import MANIFEST_NAME, dump_manifest
from engine.probe import parent
from engine.probe.limits import GIB, Limits
from engine.probe.parent import run_trial
from tests.fakes import ATTENTION_GRAPH, ATTENTION_HEAD, control_ids, make_manifest, toy_tokenizer
from tests.onnx_wire import field, graph, model, node, number_field, value
from tests.toy import byte_level

LIMITS = Limits(30.0, 4 * GIB)
only_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")


def child(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def tried(program: str, limits: Limits = LIMITS, cancel: CancellationToken | None = None) -> str:
    return run_trial(child(program), Path("odd"), limits, cancel or CancellationToken())


def test_what_the_child_says_is_what_is_wrong():
    assert tried("") == ""
    assert tried("import sys; print('\"no good\"'); sys.exit(3)") == "no good"


@pytest.mark.parametrize("program", ["import os; os.abort()", "1/0", "import sys; print('{'); sys.exit(3)"])
def test_a_child_that_ends_otherwise_is_told(program):
    assert tried(program).startswith("odd ended the process that tried it (status ")


def test_a_child_that_says_too_much_is_cut():
    assert len(tried("import sys, json; print(json.dumps('x' * 9000)); sys.exit(3)")) == 2000


def test_a_child_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(parent, "GRACE_S", 0.0)
    started = time.monotonic()
    assert tried("import time; time.sleep(60)", Limits(0.1, GIB)) == (
        "odd took longer than 0 s of work to be loaded and run once; use another model"
    )
    assert time.monotonic() - started < 20


def test_a_child_that_nobody_waits_for_any_more_is_ended():
    cancel = CancellationToken()
    threading.Timer(0.3, cancel.cancel).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        tried("import time; time.sleep(60)", cancel=cancel)
    assert time.monotonic() - started < 20


def test_where_no_process_can_be_started_it_says_so():
    problem = run_trial(["/nowhere/python"], Path("odd"), LIMITS, CancellationToken())
    assert problem.startswith("odd cannot be tried in a process of its own (No such file")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(ATTENTION_GRAPH, folder / "model.onnx")
    (folder / "tokenizer.json").write_text(byte_level(), encoding="utf-8")
    describe(folder)
    return folder


def describe(folder: Path) -> None:
    tokenizer = toy_tokenizer("byte-level")
    files = {name: sha256_of(folder / name) for name in ("model.onnx", "tokenizer.json")}
    manifest = make_manifest(
        tokenizer.vocabulary.size, head=ATTENTION_HEAD, end=control_ids(tokenizer)[:1], files=files
    )
    (folder / MANIFEST_NAME).write_text(dump_manifest(dataclasses.replace(manifest)), encoding="utf-8")


def test_a_good_folder_passes_and_is_not_tried_again(folder, monkeypatch):
    probe_model(folder)
    monkeypatch.setattr(parent, "run_trial", None)
    probe_model(folder)
    (folder / "LICENSE").write_text("free")
    with pytest.raises(TypeError):
        probe_model(folder)


def test_the_bundled_model_is_not_tried(monkeypatch):
    monkeypatch.setattr(parent, "run_trial", None)
    probe_model(None)
    probe_model(BUNDLED_MODEL)
    probe_model(BUNDLED_MODEL / ".." / "bundled")


def refused(folder: Path) -> str:
    with pytest.raises(ModelFolderError) as caught:
        probe_model(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_wrong_with_a_folder_is_told_as_ever(folder, tmp_path):
    (folder / "tokenizer.json").write_text("{")
    assert "tokenizer.json is damaged or altered" in refused(folder)
    assert "no model folder at" in refused(tmp_path / "absent")


def shape(*sizes: int) -> bytes:
    raw = b"".join(size.to_bytes(8, "little") for size in sizes)
    dims = number_field(1, len(sizes)) + number_field(2, 7)
    return field(1, b"value") + field(5, dims + field(9, raw)) + number_field(20, 4)


def slow_graph() -> bytes:
    """A row of products of matrices of 3,000 by 3,000: it takes hours."""
    nodes = [node("Constant", [], ["s"], attributes=[shape(3000, 3000)]), node("ConstantOfShape", ["s"], ["m0"])]
    nodes += [node("MatMul", [f"m{number}", "m0"], [f"m{number + 1}"]) for number in range(5000)]
    last = [node("ReduceMean", ["m5000"], ["mean"]), node("Add", ["x", "mean"], ["y"])]
    return model(graph([*nodes, *last], [], [value("x")], [value("y")]))


def large_graph() -> bytes:
    """The attention graph with a result of 64 GiB for each token. A message that occurs twice is merged."""
    nodes = [
        node("Shape", ["input_ids"], ["size"]),
        node("Constant", [], ["often"], attributes=[shape(1 << 17, 1 << 17)]),
        node("Mul", ["size", "often"], ["sizes"]),
        node("ConstantOfShape", ["sizes"], ["large"]),
        node("ReduceMean", ["large"], ["more"]),
    ]
    more = field(1, b"more") + field(2, field(1, number_field(1, 1)))
    return ATTENTION_GRAPH.read_bytes() + field(7, graph(nodes, outputs=[more]).removeprefix(field(2, b"g")))


@only_posix
@pytest.mark.parametrize(
    ("make", "says"),
    [(slow_graph, "took longer than 4 s"), (large_graph, "BFCArena|memory|ended the process")],
    ids=["time", "memory"],
)
def test_a_graph_that_takes_too_much_is_refused_and_that_is_kept(folder, monkeypatch, make: Callable[[], bytes], says):
    (folder / "model.onnx").write_bytes(make())
    describe(folder)
    monkeypatch.setattr(Limits, "of", lambda file_bytes: Limits(4.0, 3 * GIB))
    message = refused(folder)
    monkeypatch.setattr(parent, "run_trial", None)
    assert refused(folder) == message
    assert re.search(says, message), message


@only_posix
def test_the_child_ends_itself_when_its_parent_is_gone(folder):
    """It notices the end of its standard input, or its own time limit."""
    program = (
        "import subprocess, sys; from engine.probe.parent import child_command;"
        "child = subprocess.Popen([*child_command(), sys.argv[1], '20', str(4 << 30)], stdin=subprocess.PIPE,"
        " stdout=subprocess.DEVNULL); print(child.pid, flush=True); import os; os._exit(0)"
    )
    (folder / "model.onnx").write_bytes(slow_graph())
    describe(folder)
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, timeout=60)
    pid, ended = int(done.stdout), time.monotonic() + 60
    while time.monotonic() < ended and running(pid):
        time.sleep(0.05)
    assert not running(pid)


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_nothing_is_imported_from_the_current_folder(folder, tmp_path, monkeypatch):
    """The current folder may hold a folder with the name of one of our packages."""
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "json.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    probe_model(folder)
    assert not (tmp_path / "ran").exists()


def test_limits_grow_with_the_files():
    assert Limits.of(0) == Limits(120.0, 3 * GIB)
    assert Limits.of(GIB) == Limits(240.0, 7 * GIB)
    assert Limits.of(0).clock_seconds == 600.0
