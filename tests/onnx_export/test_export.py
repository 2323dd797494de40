import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer

from engine import Completer, CompletionRequest
from engine.errors import ExportError, ManifestError
from engine.model_folder.manifest import Precision, load_manifest
from engine.runtime.graph import choose_device
from engine.runtime.session import OrtSession
from onnx_export import validate as checks
from onnx_export.__main__ import main
from onnx_export.checkpoint import read_checkpoint
from onnx_export.export import export_checkpoint
from onnx_export.quantize import Device, plan
from tests.onnx_export.checkpoints import write_checkpoint
from tests.onnx_export.families import write_example
from tests.onnx_export.source_text import make_source

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8", "int4")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path):
    """Model folders by precision, each made and validated once."""
    folders: dict[str, Path] = {}
    root = tmp_path_factory.mktemp("exported")

    def get(precision: Precision) -> Path:
        if precision not in folders:
            export_checkpoint(checkpoint, root / precision, precision=precision)
            folders[precision] = root / precision
        return folders[precision]

    return get


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_checkpoint_becomes_a_model_folder(exported, tokenizer: Tokenizer, precision: Precision):
    folder = exported(precision)
    manifest = load_manifest(folder)
    size = tokenizer.get_vocab_size()
    assert manifest.precision == precision
    assert manifest.architecture == "LlamaForCausalLM"
    assert manifest.context_length == 1024
    assert (manifest.key_value.layers, manifest.key_value.heads, manifest.key_value.head_size) == (2, 1, 32)
    assert (manifest.vocabulary.tokenizer, manifest.vocabulary.embedding, manifest.vocabulary.head) == (size,) * 3
    assert manifest.control.begin == 0
    assert manifest.control.end == (0, 4)  # the token between files ends a completion too
    assert manifest.fim is not None
    assert manifest.fim.templates == {"psm": (1, "prefix", 2, "suffix", 3), "spm": (1, 2, "suffix", 3, "prefix")}
    assert manifest.licence == "Apache-2.0 (weights); training text: PSF-2.0"
    names = {file.name for file in folder.iterdir()}
    assert names == {"model.onnx", "model.onnx.data", "tokenizer.json", "midtoken.json", "MODEL_CARD.md", "NOTICE"}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_logits_are_float32_and_only_for_the_positions_asked_for(exported, precision: Precision):
    folder = exported(precision)
    session = OrtSession.load(folder, load_manifest(folder), device="cpu")
    ids = np.arange(5, 25, dtype=np.int32)
    some = session.forward(ids, 0, (3, 19))
    assert some.shape == (2, load_manifest(folder).vocabulary.head)
    assert some.dtype == np.float32
    assert session.forward(ids, 0, (19,)).shape[0] == 1


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_tied_embedding_is_stored_once(exported, precision: Precision):
    model = onnx.load(str(exported(precision) / "model.onnx"), load_external_data=False)
    rows = load_manifest(exported(precision)).vocabulary.head
    large = [tensor for tensor in model.graph.initializer if rows in tensor.dims and np.prod(tensor.dims) > 4 * rows]
    # Two operators may see it in two shapes. The file holds it once.
    assert len({entry.value for tensor in large for entry in tensor.external_data if entry.key == "offset"}) == 1
    positions = next(value for value in model.graph.input if value.name == "logits_positions")
    assert positions.type.tensor_type.elem_type == onnx.TensorProto.INT64


def test_quantised_models_are_smaller(exported):
    sizes = [(exported(precision) / "model.onnx.data").stat().st_size for precision in PRECISIONS]
    assert sizes[0] > 2 * sizes[1] > 2 * sizes[2]


def test_another_checkpoint_fails_the_comparison(exported, tmp_path: Path, tokenizer: Tokenizer):
    write_checkpoint(tmp_path / "other", tokenizer, seed=2)
    folder = exported("fp32")
    with pytest.raises(
        ExportError, match=r"check 'logits equal the checkpoint's, mean' failed: [\d.]+ where at most 0.0001"
    ):
        checks.validate(read_checkpoint(tmp_path / "other"), plan("fp32", "cpu"), load_manifest(folder), folder)


def test_a_wrong_manifest_fails_the_first_check(exported, checkpoint: Path):
    folder = exported("fp32")
    manifest = load_manifest(folder)
    wrong = dataclasses.replace(manifest, key_value=dataclasses.replace(manifest.key_value, heads=3))
    with pytest.raises(ExportError, match="check 'names and shapes' failed"):
        checks.validate(read_checkpoint(checkpoint), plan("fp32", "cpu"), wrong, folder)


def test_figures_of_all_checks(exported, checkpoint: Path):
    folder = exported("fp32")
    figures = checks.validate(read_checkpoint(checkpoint), plan("fp32", "cpu"), load_manifest(folder), folder)
    assert [check.name for check in figures] == [
        "logits equal the checkpoint's, mean",
        "logits equal the checkpoint's, worst position",
        "chosen positions equal all positions",
        "cached equals uncached",
        "rewound equals fresh",
        "batch of two equals two singles",
        "greedy text equals the checkpoint's",
    ]


def test_relative_errors():
    reference = np.array([[1.0, -1.0], [3.0, 5.0]], np.float32)
    shifted = reference + np.array([[0.1], [0.0]], np.float32)
    assert checks.largest_error(reference, reference) == 0.0
    assert checks.largest_error(shifted, reference) == pytest.approx(0.1, rel=1e-4)
    assert checks.mean_error(shifted, reference) == pytest.approx(0.05, rel=1e-4)
    assert checks.mean_error(reference * np.nan, reference) == float("inf")
    assert checks.largest_error(reference[:1], reference) == float("inf")
    many = np.tile(reference, (10, 1))
    outliers = many.copy()
    outliers[3:5] *= 9.0  # two of twenty
    assert checks.usual_error(outliers, many) == 0.0
    outliers[7] *= 9.0
    assert checks.usual_error(outliers, many) == pytest.approx(8.0)
    assert checks.usual_error(many * np.nan, many) == float("inf")


def fail(*arguments: object) -> None:
    raise ExportError("check 'x' failed: 2 where at most 1 is allowed; nothing was written")


def test_a_failed_check_leaves_the_old_folder(
    tmp_path: Path, checkpoint: Path, exported, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "out"
    export_checkpoint(checkpoint, out, precision="int4")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    monkeypatch.setattr(checks, "validate", fail)
    with pytest.raises(ExportError, match="check 'x' failed: 2"):
        export_checkpoint(checkpoint, out, precision="int8")
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_of_other_files_is_not_replaced(tmp_path: Path, checkpoint: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"holds other files and no midtoken\.json"):
        export_checkpoint(checkpoint, tmp_path)
    with pytest.raises(ExportError, match="is a file"):
        export_checkpoint(checkpoint, tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(("precision", "device"), [("fp16", "cpu"), ("fp32", "cuda")])
def test_a_precision_without_kernels(tmp_path: Path, checkpoint: Path, precision: Precision, device: Device):
    with pytest.raises(ExportError, match=f"no {precision} kernel on {device}"):
        export_checkpoint(checkpoint, tmp_path / "out", precision=precision, device=device)


@pytest.mark.skipif(choose_device("cuda").kind == "cuda", reason="needs a machine without a CUDA device")
@pytest.mark.parametrize("precision", ["fp16", "int8", "int4"])
def test_a_model_for_a_device_that_is_not_here_is_checked_as_far_as_the_cpu_can(
    tmp_path: Path, checkpoint: Path, precision: Precision
):
    lines: list[str] = []
    steps: list[tuple[int, int]] = []
    manifest = export_checkpoint(
        checkpoint,
        tmp_path / "out",
        precision=precision,
        device="cuda",
        progress=lambda done, total: steps.append((done, total)),
        notice=lines.append,
    )
    assert manifest.key_value.dtype == "float16"
    graph = onnx.load(str(tmp_path / "out" / "model.onnx")).graph
    large = [tensor for tensor in graph.initializer if np.prod(tensor.dims) > 4 * manifest.vocabulary.head]
    half, packed = onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8
    assert {tensor.data_type for tensor in large} == ({half} if precision == "fp16" else {half, packed})  # with scales
    assert sum(manifest.vocabulary.head in tensor.dims for tensor in large) == 1  # embedding and head are tied
    assert "what CUDA's kernels compute, and their speed, was not checked" in lines[0]
    assert lines[-1].startswith("peak memory ")
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_weights_go_into_a_file_of_their_own(tmp_path: Path, checkpoint: Path):
    manifest = export_checkpoint(checkpoint, tmp_path / "out", precision="int8")
    assert "model.onnx.data" in manifest.files
    assert load_manifest(tmp_path / "out") == manifest
    assert Completer.load(tmp_path / "out", device="cpu").complete(CompletionRequest("def alpha(")).prompt_tokens > 1
    data = tmp_path / "out" / "model.onnx.data"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ManifestError, match=r"model\.onnx\.data is damaged or altered"):
        Completer.load(tmp_path / "out", device="cpu")
    data.unlink()
    with pytest.raises(ManifestError, match=r"model\.onnx\.data' cannot be read \(No such file"):
        Completer.load(tmp_path / "out", device="cpu")


def test_code_of_a_tokenizer_is_left_unread(tmp_path: Path, checkpoint: Path):
    copy = Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))
    (copy / "tokenization_mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine: pass\n")
    (copy / "tokenizer_config.json").write_text(
        '{"auto_map": {"AutoTokenizer": ["tokenization_mine.Mine", null]}, "tokenizer_class": "Mine"}'
    )
    export_checkpoint(copy, tmp_path / "out", precision="fp32")
    assert not (tmp_path / "ran").exists()


def test_a_disk_that_fills_up(tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "midtoken.json").write_text("{}")  # the old content

    def full(source: object, chosen: object, folder: Path) -> None:
        (folder / "model.onnx").write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("onnx_export.export._build_graph", full)
    with pytest.raises(ExportError, match=r"cannot write .*out \(No space left on device\); make room"):
        export_checkpoint(checkpoint, out)
    assert (out / "midtoken.json").read_text() == "{}"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits of this kind")
@pytest.mark.parametrize("writer", ["torch's exporter", "our writer"])
def test_a_disk_that_takes_no_more_at_any_moment(tmp_path: Path, checkpoint: Path, exported, writer: str):
    """A limit on the size of files, which fails like a full disk for every writer."""
    limit = 60_000
    if writer == "torch's exporter":
        checkpoint = write_example(tmp_path / "checkpoint", "gpt2", [make_source(1)])
    else:
        limit = (exported("fp32") / "model.onnx.data").stat().st_size - 1
    out = tmp_path / "place" / "out"
    out.mkdir(parents=True)
    (out / "midtoken.json").write_text("{}")  # the old content
    script = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit},) * 2);"
        "from onnx_export.__main__ import main; raise SystemExit(main())"
    )
    command = [sys.executable, "-c", script, str(checkpoint), str(out), "--precision", "fp32"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: cannot write .*out \(File too large\); make room or choose another place\n", done.stderr
    )
    assert (out / "midtoken.json").read_text() == "{}"
    assert list(out.parent.iterdir()) == [out]


def test_a_tokenizer_that_loses_text_fails_the_first_check(
    tmp_path: Path, checkpoint: Path, exported, monkeypatch: pytest.MonkeyPatch
):
    folder = exported("fp32")
    monkeypatch.setattr("engine.model_folder.contract._comes_back", lambda text, tokenizer: False)
    with pytest.raises(ExportError, match="check 'vocabulary and model' failed: the tokenizer does not give back tabs"):
        checks.validate(read_checkpoint(checkpoint), plan("fp32", "cpu"), load_manifest(folder), folder)


@pytest.mark.skipif(choose_device("cuda").kind != "cuda", reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp16", "int8", "int4"])
def test_models_for_cuda(tmp_path: Path, checkpoint: Path, precision: Precision):
    manifest = export_checkpoint(checkpoint, tmp_path / "out", precision=precision, device="cuda")
    assert manifest.key_value.dtype == "float16"


def test_the_command(tmp_path: Path, checkpoint: Path, exported, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("onnx_export.__main__.export_checkpoint", lambda *_, **__: load_manifest(exported("int4")))
    assert main([str(checkpoint), str(exported("int4"))]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "int4"


def test_of_all_libraries_none_says_a_word(tmp_path: Path):
    checkpoint = write_example(tmp_path / "checkpoint", "gpt2", [make_source(1)])
    command = [sys.executable, "-m", "onnx_export", str(checkpoint), str(tmp_path / "out"), "--precision", "int4"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["precision"] == "int4"
    filling, peak = done.stderr.splitlines()
    assert filling.startswith("the tokenizer has no tokens to fill in the middle")
    assert re.fullmatch(r"peak memory [\d,]+ MiB", peak)


def test_the_command_fails_in_one_line(tmp_path: Path, capsys):
    assert main([str(tmp_path / "absent"), str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("error: no checkpoint folder at")


def test_the_notes_say_whether_names_of_files_are_given_and_what_is_copied(tmp_path: Path, exported, checkpoint: Path):
    assert load_manifest(exported("fp32")).repository is None
    assert load_manifest(exported("fp32")).copying == ()
    copy = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, copy)
    notes = json.loads((copy / "midtoken-source.json").read_text(encoding="utf-8"))
    notes |= {"file_tokens": True, "copying": [0.25, 0.5]}
    (copy / "midtoken-source.json").write_text(json.dumps(notes), encoding="utf-8")
    export_checkpoint(copy, tmp_path / "out", precision="fp32", check=False)
    assert load_manifest(tmp_path / "out").repository is not None
    assert load_manifest(tmp_path / "out").copying == (0.25, 0.5)
