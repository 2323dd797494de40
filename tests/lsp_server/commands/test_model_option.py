"""Model folders on the command line: good ones in every command, and every way in which one can be wrong."""

import dataclasses
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ExportError
from engine.model_folder.known_hashes import sha256_of
from engine.model_folder.manifest import ControlIds, FimTemplates, VocabularySizes, dump_manifest
from onnx_export.export import STEPS
from tests.fakes import ATTENTION_HEAD
from tests.lsp_server.commands.command_line import (
    END,
    Outcome,
    forget_settings,
    make_model_folder,
    run,
    run_process,
    start,
    toy_tokenizer,
)

SIZE = toy_tokenizer().get_vocab_size()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    forget_settings(monkeypatch)


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "document.py"
    path.write_text("import os\nretu", encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path):
    make_model_folder(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def complete(capsys, document):
    def complete(model, *arguments):
        return run(capsys, "complete", f"{document}:2:5", "--model", model, *arguments)

    return complete


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the decoded manifest in place."""
    path = folder / "midtoken.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")


class TestGoodFolders:
    def test_it_completes(self, complete, folder):
        outcome = complete(folder, "--json", "--max-new-tokens", "4")
        assert (outcome.status, outcome.err) == (0, "")
        printed = json.loads(outcome.out)
        assert printed["model"] == {"path": str(folder), "device": "cpu", "precision": "fp32", "vocabulary": SIZE}
        assert printed["timing_ms"]["total"] >= printed["timing_ms"]["load"] > 0

    @pytest.mark.parametrize("mode", ["off", "k-step", "exact"])
    def test_every_healing_mode_is_reported(self, complete, folder, mode):
        # "retu" and "retur" are both tokens, so healing has more than one way to continue.
        (completion, *_) = json.loads(complete(folder, "--json", "--healing", mode).out)["completions"]
        assert completion["healing"]["mode"] == mode
        assert (completion["healing"]["covers"] > 1) == (mode != "off")

    def test_cuda_without_a_device_is_said_and_the_cpu_completes(self, complete, folder, monkeypatch):
        monkeypatch.setattr("engine.runtime.graph.cuda_device_count", lambda: 0)
        outcome = complete(folder, "--device", "cuda", "--json")
        assert outcome.status == 0
        (line,) = outcome.err.splitlines()
        assert line.startswith("midtoken: CUDA was asked for but ")
        assert line.endswith("running on the CPU")
        assert json.loads(outcome.out)["model"]["device"] == "cpu"

    def test_a_budget_that_is_too_short_ends_in_nothing(self, complete, folder):
        outcome = complete(folder, "--budget-ms", "0.000001")
        assert outcome.status == 0
        assert outcome.out == ""

    def test_more_tokens_than_the_context_holds(self, complete, folder):
        outcome = complete(folder, "--max-new-tokens", "4096")
        assert outcome.status == 2
        assert "ask for fewer" in outcome.error

    @pytest.mark.parametrize("text", ["", "x = 1\n" * 800_000, "x" * 1_000_000])
    def test_documents_of_any_size_complete(self, capsys, folder, tmp_path, text):
        path = tmp_path / "sized.py"
        path.write_text(text, encoding="utf-8")
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        arguments = ["--model", folder, "--max-new-tokens", "4", "--json"]
        outcome = run(capsys, "complete", f"{path}:{line}:{column}", *arguments)
        assert (outcome.status, outcome.err) == (0, "")

    def test_inspect_prints_the_contract_and_the_trace(self, capsys, folder):
        outcome = run(capsys, "inspect", "--model", folder, "--text", "x\nretu")
        assert (outcome.status, outcome.err) == (0, "")
        assert str(SIZE) in outcome.out
        assert str(ATTENTION_HEAD) in outcome.out
        assert "healing (exact)" in outcome.out

    def test_inspect_has_json(self, capsys, folder):
        outcome = run(capsys, "inspect", "--model", folder, "--text", "retu\u00e9", "--json")
        printed = json.loads(outcome.out)
        assert set(printed) == {"model", "contract", "characters_per_token", "healing"}
        assert printed["model"]["tokenizer_entries"] == SIZE
        assert printed["model"]["fill_in_the_middle"] == ["psm"]
        assert all(value > 0 for value in printed["characters_per_token"].values())
        found = {clause["name"]: (clause["value"], clause["note"]) for clause in printed["contract"]}
        assert found["tokenizer entries"] == (str(SIZE), "4 of them control")
        assert found["head rows"] == (
            str(ATTENTION_HEAD),
            f"{ATTENTION_HEAD - SIZE} padding rows are never chosen",
        )
        assert found["round trip, tabs"] == ("exact", "")

    def test_inspect_of_an_empty_text(self, capsys, folder):
        assert run(capsys, "inspect", "--model", folder, "--text", "").status == 0

    def test_the_environment_names_the_model(self, capsys, monkeypatch, folder):
        monkeypatch.setenv("MIDTOKEN_MODEL", str(folder))
        assert str(folder) in run(capsys, "inspect").out


class TestBadFolders:
    """Each is refused before anything runs, in one line, with status 1."""

    def refused(self, outcome: Outcome, *says: str) -> None:
        assert outcome.status == 1
        assert all(part in outcome.error for part in says), outcome.error

    def test_missing(self, complete, tmp_path):
        self.refused(complete(tmp_path / "nowhere"), "no model folder at", "nowhere")

    def test_a_file_in_place_of_a_folder(self, complete, document):
        self.refused(complete(document), "no model folder at")

    def test_foreign(self, complete, tmp_path):
        self.refused(complete(tmp_path), "holds no midtoken.json", "midtoken export")

    @pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
    def test_a_file_is_missing(self, complete, folder, name):
        (folder / name).unlink()
        self.refused(complete(folder), name, "copy or export the model again")

    @pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
    def test_a_file_is_truncated(self, complete, folder, name):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
        self.refused(complete(folder), name, "is damaged or altered")

    @pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
    def test_a_file_is_truncated_and_signed(self, complete, folder, name):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
        rewrite(folder, lambda raw: raw["files"].update({name: sha256_of(folder / name)}))
        self.refused(complete(folder))

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format": 2}', "\ud800", "[" * 100_000])
    def test_a_manifest_that_is_none(self, complete, folder, text):
        (folder / "midtoken.json").write_bytes(text.encode("utf-8", "surrogatepass"))
        self.refused(complete(folder), "midtoken.json")

    def test_a_manifest_that_names_a_file_outside(self, complete, folder):
        rewrite(folder, lambda raw: raw["files"].update({"../document.py": "0" * 64}))
        self.refused(complete(folder), "lies outside")

    def test_a_tokenizer_of_another_model(self, complete, folder):
        other = toy_tokenizer()
        other.add_tokens(["another"])
        other.save(str(folder / "tokenizer.json"))
        digest = sha256_of(folder / "tokenizer.json")
        rewrite(folder, lambda raw: raw["files"].update({"tokenizer.json": digest}))
        self.refused(complete(folder), f"{SIZE + 1} entries", "belongs to another model")

    @pytest.mark.parametrize("part", ["embedding", "head"])
    def test_a_tokenizer_larger_than_the_model(self, complete, tmp_path, part):
        rows = {"embedding": ATTENTION_HEAD, "head": ATTENTION_HEAD, part: SIZE - 1}
        sizes = VocabularySizes(SIZE, rows["embedding"], rows["head"])
        make_model_folder(tmp_path / "small", vocabulary=sizes)
        self.refused(complete(tmp_path / "small"), part, f"{SIZE - 1} rows for {SIZE} tokens")

    def test_a_head_that_is_not_the_manifests(self, complete, tmp_path):
        make_model_folder(tmp_path / "other", vocabulary=VocabularySizes(SIZE, SIZE, SIZE))
        self.refused(complete(tmp_path / "other"), str(ATTENTION_HEAD), str(SIZE))

    @pytest.mark.parametrize("role", ["begin", "end", "pad"])
    def test_a_control_id_out_of_range(self, complete, tmp_path, role):
        wrong: dict[str, Any] = {role: (10_000,) if role == "end" else 10_000}
        control = dataclasses.replace(ControlIds(begin=None, end=(SIZE - 1,)), **wrong)
        make_model_folder(tmp_path / "wrong", control=control)
        self.refused(complete(tmp_path / "wrong"), role, "10000")

    def test_a_fill_in_the_middle_id_out_of_range(self, complete, tmp_path):
        fim = FimTemplates({"psm": (10_000, "prefix", 10_001, "suffix", 10_002)}, "psm")
        make_model_folder(tmp_path / "wrong", fim=fim)
        self.refused(complete(tmp_path / "wrong"), "fill-in-the-middle", "10000")

    def test_a_graph_that_is_another_models(self, complete, tmp_path):
        manifest = make_model_folder(tmp_path / "wrong")
        layers = dataclasses.replace(manifest.key_value, layers=2)
        changed = dataclasses.replace(manifest, key_value=layers)
        (tmp_path / "wrong" / "midtoken.json").write_text(dump_manifest(changed), encoding="utf-8")
        self.refused(complete(tmp_path / "wrong"), "has no input 'past_key_values.1.key'")

    @pytest.mark.parametrize("command", ["inspect", "bench"])
    def test_other_commands_refuse_it_too(self, capsys, tmp_path, command):
        names = ["healing"] if command == "bench" else []
        outcome = run(capsys, command, *names, "--model", tmp_path / "nowhere", "--json")
        self.refused(outcome, "no model folder at")


class TestExport:
    def test_a_checkpoint_that_is_missing(self, capsys, tmp_path):
        outcome = run(capsys, "export", tmp_path / "nowhere", tmp_path / "out")
        assert outcome.status == 1
        assert "nowhere" in outcome.error
        assert not (tmp_path / "out").exists()

    def test_on_a_terminal_it_says_what_is_being_done_and_an_error_takes_its_place(self, capsys, monkeypatch, tmp_path):
        def export_checkpoint(*_: object, progress: Callable[[int, int], None], **__: object) -> None:
            for done in range(STEPS):
                progress(done, STEPS)
            raise ExportError("check 'x' failed")

        monkeypatch.setattr("onnx_export.export.export_checkpoint", export_checkpoint)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        outcome = run(capsys, "export", tmp_path, tmp_path / "out")
        bars = re.findall(r"\r([a-z ]+): \S* *(\d) of 3", outcome.err)
        assert bars == [("the graph", "0"), ("the folder", "1"), ("checks", "2")]
        assert outcome.err.endswith(" \r\r\x1b[Kmidtoken: error: check 'x' failed\n")

    @pytest.mark.parametrize("arguments", [[], ["only-one"], ["a", "b", "--precision", "int3"], ["a", "b", "c"]])
    def test_wrong_usage(self, capsys, arguments):
        outcome = run(capsys, "export", *arguments)
        assert outcome.status == 2
        assert "see 'midtoken export --help'" in outcome.error


class TestServe:
    @pytest.mark.parametrize(
        "address", ["4000", ":4000", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "localhost:٤"]
    )
    def test_what_is_no_address(self, capsys, address):
        outcome = run(capsys, "serve", "--tcp", address)
        assert outcome.status == 2
        assert "HOST:PORT" in outcome.error

    def test_options_reach_the_server(self, capsys, monkeypatch, tmp_path):
        asked = {}
        monkeypatch.setattr("lsp_server.server.serve", lambda **options: asked.update(options) or 3)
        assert run(capsys, "serve", "--tcp", "[::1]:4000", "--model", tmp_path, "--device", "cpu").status == 3
        assert asked == {"tcp": ("::1", 4000), "token_file": None, "model": tmp_path, "device": "cpu", "remote": {}}

    def test_the_environment_is_left_to_the_server(self, capsys, monkeypatch):
        # The editor's settings have priority there, and the error is reported there.
        asked = {}
        monkeypatch.setenv("MIDTOKEN_DEVICE", "tpu")
        monkeypatch.setenv("MIDTOKEN_MODEL", "/somewhere")
        monkeypatch.setattr("lsp_server.server.serve", lambda **options: asked.update(options) or 0)
        outcome = run(capsys, "serve")
        assert (outcome.status, outcome.err) == (0, "")
        assert asked == {"tcp": None, "token_file": None, "model": None, "device": None, "remote": {}}

    def test_auto_on_the_command_line_is_a_choice(self, capsys, monkeypatch):
        asked = {}
        monkeypatch.setenv("MIDTOKEN_DEVICE", "cuda")
        monkeypatch.setattr("lsp_server.server.serve", lambda **options: asked.update(options) or 0)
        run(capsys, "serve", "--device", "auto")
        assert asked["device"] == "auto"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a device that is always full")
@pytest.mark.parametrize("arguments", [["inspect"], ["inspect", "--json"], ["complete", "{document}:1:1", "--json"]])
def test_a_full_disk_is_one_line(folder, document, arguments):
    arguments = [argument.format(document=document) for argument in arguments]
    with Path("/dev/full").open("wb") as full:
        outcome = run_process([*arguments, "--model", folder], stdout=full)
    assert outcome.status == 1
    assert outcome.error == "standard output: No space left on device"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no broken pipes of this kind")
def test_a_reader_that_leaves_is_no_error(folder):
    with start(["inspect", "--model", folder]) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_control_tokens_in_the_text_are_text(capsys, folder, tmp_path):
    path = tmp_path / "control.py"
    path.write_text(f"x = '{END}", encoding="utf-8")
    outcome = run(capsys, "complete", f"{path}:1:{len(END) + 6}", "--model", folder, "--max-new-tokens", "2")
    assert outcome.status == 0


def test_a_copied_folder_is_as_good(complete, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    assert complete(tmp_path / "copy").status == 0
