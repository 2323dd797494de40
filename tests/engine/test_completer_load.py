"""A model folder on disk becomes a completer: a real graph, a toy tokenizer, a manifest."""

import dataclasses
import gc
import json
import math
import shutil
import struct
import weakref
from pathlib import Path
from typing import Any

import pytest

from engine import Completer, CompletionRequest, StopParams
from engine.errors import ContractError, DeviceError, DeviceMemoryError, ManifestError, ModelFolderError, WeightsError
from engine.model_folder.known_hashes import sha256_of
from engine.model_folder.manifest import MANIFEST_NAME, dump_manifest, load_manifest
from engine.runtime import session as session_module
from engine.runtime.kv_memory import HostMemory
from engine.runtime.ort import ort
from engine.runtime.session import OrtSession
from tests.fakes import ATTENTION_GRAPH, ATTENTION_HEAD, control_ids, make_manifest, toy_fim, toy_tokenizer
from tests.toy import byte_level, superword

TOKENIZER = toy_tokenizer("byte-level")
ASKED = CompletionRequest("import nump", stop=StopParams(max_new_tokens=8, lines="multi"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ATTENTION_GRAPH, tmp_path / "model.onnx")
    (tmp_path / "tokenizer.json").write_text(byte_level(), encoding="utf-8")
    write_manifest(tmp_path)
    return tmp_path


def write_manifest(folder: Path, **changes: Any) -> None:
    files = {name: sha256_of(folder / name) for name in ("model.onnx", "tokenizer.json")}
    end, *_ = control_ids(TOKENIZER)
    manifest = make_manifest(
        TOKENIZER.vocabulary.size, head=ATTENTION_HEAD, end=(end,), fim=toy_fim(TOKENIZER), files=files
    )
    changed = dataclasses.replace(manifest, **changes)
    (folder / MANIFEST_NAME).write_text(dump_manifest(changed), encoding="utf-8")


def test_a_folder_loads_and_completes(folder):
    completer = Completer.load(folder, device="cpu", threads=1)
    assert completer.notices == ()
    assert completer.manifest == load_manifest(folder)
    assert completer.tokenizer.vocabulary.size == TOKENIZER.vocabulary.size
    info = completer.info
    assert (info.path, info.name, info.device, info.provider) == (str(folder), "toy", "cpu", "CPUExecutionProvider")
    assert (info.precision, info.vocabulary, info.context_length) == ("fp32", TOKENIZER.vocabulary.size, 256)
    assert info.prefix_index in ("datrie", "sorted")
    assert info.fim_orders == ("psm", "spm")
    result = completer.complete(ASKED)
    assert 0 < result.completions[0].tokens <= 8
    assert "".join(completer.stream(ASKED)) == result.completions[0].text


def test_the_weights_leave_memory_with_the_last_reference(folder):
    # Two models are in memory during a change, so the old one must not wait for the garbage collector.
    completer = Completer.load(folder, device="cpu", threads=1)
    completer.complete(ASKED)
    completer.complete(dataclasses.replace(ASKED, max_completions=3))
    parts = [weakref.ref(part) for part in (completer, completer._cache._session, completer.tokenizer)]
    gc.disable()
    try:
        del completer
        assert [part() for part in parts] == [None, None, None]
    finally:
        gc.enable()


def test_a_model_without_fill_in_the_middle_says_so(folder):
    write_manifest(folder, fim=None)
    completer = Completer.load(folder, device="cpu")
    assert completer.notices == ("toy cannot fill in the middle: only the text before the cursor counts",)
    asked = CompletionRequest("import nump", "\nx = 1\n", stop=StopParams(max_new_tokens=4))
    alone = CompletionRequest("import nump", stop=StopParams(max_new_tokens=4))
    assert completer.complete(asked).prompt_tokens == completer.complete(alone).prompt_tokens


def test_loading_again_gives_the_same_completion(folder):
    first, second = (Completer.load(folder, device="cpu", threads=1) for _ in range(2))
    assert [c.text for c in first.complete(ASKED).completions] == [c.text for c in second.complete(ASKED).completions]


def test_a_folder_that_cannot_be_written_loads_too(folder, monkeypatch):
    def refuse(*args: object, **kwargs: object) -> str:
        raise PermissionError("read-only")

    monkeypatch.setattr("engine.healing.prefix_index.tempfile.mkdtemp", refuse)
    assert Completer.load(folder, device="cpu").complete(ASKED).completions


def test_the_context_is_bounded_by_what_was_asked_for(folder):
    assert Completer.load(folder, device="cpu", context_tokens=64).info.context_length == 64


def test_a_fall_back_to_the_cpu_is_noticed(folder, monkeypatch):
    monkeypatch.setattr("engine.runtime.graph.cuda_device_count", lambda: 0)
    completer = Completer.load(folder, device="cuda")
    assert completer.info.device == "cpu"
    (notice,) = completer.notices
    assert "CPU" in notice


def refused(folder: Path, kind: type[ModelFolderError]) -> str:
    with pytest.raises(kind) as caught:
        Completer.load(folder, device="cpu")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_folder_that_is_not_there(tmp_path):
    assert "no model folder" in refused(tmp_path / "absent", ModelFolderError)


def test_a_graph_cut_short_in_copying(folder):
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:1000])
    assert "copy or export" in refused(folder, ManifestError)


def test_a_graph_cut_short_before_the_manifest_was_written(folder):
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:1000])
    write_manifest(folder)
    assert "export the model again" in refused(folder, ModelFolderError)


def test_the_tokenizer_of_another_model(folder):
    (folder / "tokenizer.json").write_text(superword(), encoding="utf-8")
    write_manifest(folder)
    assert "another model" in refused(folder, ContractError)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b"{}"], ids=repr)
def test_a_broken_tokenizer(folder, data):
    (folder / "tokenizer.json").write_bytes(data)
    write_manifest(folder)
    assert "tokenizer.json" in refused(folder, ModelFolderError)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_told_as_the_model_is_loaded(folder, value):
    path = folder / "model.onnx"
    data = path.read_bytes()
    scale = struct.pack("<f", 3.0)  # of the head
    assert data.count(scale) == 1
    path.write_bytes(data.replace(scale, struct.pack("<f", value)))
    write_manifest(folder)
    assert refused(folder, WeightsError).startswith("toy computes no numbers")


def test_a_head_that_the_manifest_does_not_know(folder):
    size = TOKENIZER.vocabulary.size
    write_manifest(folder, vocabulary=dataclasses.replace(make_manifest(size).vocabulary, head=size))
    assert "head rows" in refused(folder, ContractError)


def test_nothing_of_a_manifest_is_executed(folder):
    raw = json.loads((folder / MANIFEST_NAME).read_text())
    raw["name"] = "{0.__class__}"
    raw["graph"]["past_key"] = "{.__class__}"
    (folder / MANIFEST_NAME).write_text(json.dumps(raw))
    refused(folder, ManifestError)


def test_the_bundled_model_completes():
    assert Completer.load(device="cpu").complete(CompletionRequest("import nump")).completions


def test_a_cache_for_which_there_is_no_memory_is_made_smaller(folder, monkeypatch):
    write_manifest(folder, context_length=4096)
    whole = HostMemory._allocate

    def little_memory(self: HostMemory, shape: tuple[int, int, int, int]) -> object:
        if shape[2] > 1024:
            raise MemoryError("unable to allocate")
        return whole(self, shape)

    monkeypatch.setattr(HostMemory, "_allocate", little_memory)
    completer = Completer.load(folder, device="cpu", threads=1, context_tokens=4096)
    assert completer.info.context_length == 1024
    assert completer.notices == ("no memory for a key/value cache of 4096 tokens; it holds 1024",)


def test_without_any_memory_the_error_says_so(folder, monkeypatch):
    def no_memory(*_: object) -> object:
        raise MemoryError("unable to allocate")

    monkeypatch.setattr(HostMemory, "_allocate", no_memory)
    with pytest.raises(DeviceError, match=r"^no memory for a key/value cache of 256 tokens"):
        Completer.load(folder, device="cpu", threads=1)


def test_a_cache_that_fails_for_another_reason_is_not_tried_again_with_less(folder, monkeypatch):
    asked: list[int] = []

    def broken(_: HostMemory, shape: tuple[int, int, int, int]) -> object:
        asked.append(shape[2])
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")

    monkeypatch.setattr(HostMemory, "_allocate", broken)
    with pytest.raises(DeviceError, match=r"^a key/value cache of 256 tokens cannot be made \(CUDA failure 700"):
        Completer.load(folder, device="cpu", threads=1)
    assert asked == [256]


def test_weights_that_do_not_fit_are_said_to_need_memory(folder, monkeypatch):
    def no_memory(*_: object, **__: object) -> object:
        raise RuntimeError("std::bad_alloc")

    monkeypatch.setattr(ort, "InferenceSession", no_memory)
    with pytest.raises(DeviceMemoryError, match=r"^no memory for the weights of .*; use a smaller model$"):
        Completer.load(folder, device="cpu", threads=1)


def test_after_memory_has_run_out_completions_go_on_with_less_context(folder, monkeypatch):
    monkeypatch.setattr(session_module, "LEAST_CONTEXT", 64)
    completer = Completer.load(folder, device="cpu", threads=1)
    long = dataclasses.replace(ASKED, prefix="import self\n" * 2000 + "import nump")
    used = completer.complete(long).prompt_tokens

    def no_memory(self: OrtSession, *_: object) -> None:
        raise self._failure(RuntimeError("BFCArena: Failed to allocate memory for requested buffer of size 1"))

    with monkeypatch.context() as patch:
        patch.setattr(OrtSession, "_run", no_memory)
        with pytest.raises(DeviceError, match="the context is 128 tokens from now on"):
            completer.complete(dataclasses.replace(ASKED, prefix=long.prefix + "yyy"))
    less = completer.complete(long)
    assert less.completions
    assert less.prompt_tokens < 128 < used
