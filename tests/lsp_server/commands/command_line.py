"""Shared by the tests of the command line: running it in this process or as a process of its own, and a small model."""

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from engine import BUNDLED_MODEL, Completer, Completion, CompletionRequest, CompletionResult, ModelInfo
from engine.model_folder.known_hashes import sha256_of
from engine.model_folder.manifest import FimTemplates, Manifest, dump_manifest
from lsp_server.cli import main
from tests.fakes import ATTENTION_GRAPH, ATTENTION_HEAD, make_manifest
from tests.lsp_server.fakes import result_of

ROOT = Path(__file__).parents[3]
END = "<|endoftext|>"
FIM = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a command that failed. Any other output on either stream fails the test."""
        assert self.out == ""
        assert self.status in (1, 2)
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("midtoken: error: ")
        return lines[0].removeprefix("midtoken: error: ")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Outcome:
    """Run a command in this process."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return Outcome(status, captured.out, captured.err)


def start(arguments: Sequence[object], **options: Any) -> "subprocess.Popen[bytes]":
    """Start a command as a process of its own, from the source tree, without the settings of the user who runs the
    tests.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MIDTOKEN_")}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "lsp_server", *map(str, arguments)]
    return subprocess.Popen(
        command,
        env=environment | options.pop("env", {}),
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.PIPE),
        **options,
    )


def run_process(arguments: Sequence[object], text: bytes = b"", **options: Any) -> Outcome:
    """Run a command as a process of its own, with ``text`` as its standard input."""
    with start(arguments, stdin=subprocess.PIPE, **options) as process:
        out, err = process.communicate(text, timeout=60)
    return Outcome(process.returncode, (out or b"").decode("utf-8"), (err or b"").decode("utf-8"))


class StubCompleter:
    """Records its requests and gives prepared answers."""

    def __init__(self, *texts: str, notices: tuple[str, ...] = ()) -> None:
        self.result = result_of(*texts)
        self.notices = notices
        self.requests: list[CompletionRequest] = []
        self.loaded: list[tuple[Path | None, str]] = []
        self.info = ModelInfo("stub", "stub", "cpu", "stub", "fp32", 7, 256, "sorted", ())

    def complete(self, request: CompletionRequest) -> CompletionResult:
        self.requests.append(request)
        return self.result

    def answers(self, change: Callable[[Completion], Completion]) -> None:
        """Change every completion."""
        self.result = dataclasses.replace(self.result, completions=tuple(map(change, self.result.completions)))


def install(monkeypatch: pytest.MonkeyPatch, stub: StubCompleter) -> StubCompleter:
    """Make every load return ``stub``."""

    def load(model_dir: Path | None = None, *, device: str = "auto") -> StubCompleter:
        stub.loaded.append((model_dir, device))
        return stub

    monkeypatch.setattr(Completer, "load", load)
    return stub


def forget_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of the user who runs the tests from the environment."""
    for name in [name for name in os.environ if name.startswith("MIDTOKEN_")]:
        monkeypatch.delenv(name)


def at(path: Path, position: str) -> str:
    """FILE:LINE:COLUMN of a place."""
    return f"{path}:{position}"


def request_of(stub: StubCompleter) -> CompletionRequest:
    """The one request that ``stub`` received."""
    (request,) = stub.requests
    return request


def make_model_folder(folder: Path, **changes: Any) -> Manifest:
    """A model folder that loads: bytes and some words as tokens, one layer. ``changes`` are applied to the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ATTENTION_GRAPH, folder / "model.onnx")
    tokenizer = toy_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    files = {name: sha256_of(folder / name) for name in ("model.onnx", "tokenizer.json")}
    end, before, after, middle = range(size - 4, size)
    fim = FimTemplates({"psm": (before, "prefix", after, "suffix", middle)}, "psm")
    manifest = make_manifest(size, head=ATTENTION_HEAD, end=(end,), fim=fim, files=files)
    manifest = dataclasses.replace(manifest, **changes)
    (folder / "midtoken.json").write_text(dump_manifest(manifest), encoding="utf-8")
    return manifest


def toy_tokenizer() -> Tokenizer:
    """All bytes, and the merges of ``return`` and ``import``."""
    vocabulary = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = []
    for word in ("return", "import"):
        for end in range(2, len(word) + 1):
            if word[:end] not in vocabulary:
                vocabulary[word[:end]] = len(vocabulary)
                merges.append((word[: end - 1], word[end - 1]))
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in (END, *FIM)])
    return tokenizer


def require_bundled_model() -> Path:
    """The bundled model's folder. The test fails if it is missing, because a package without it is broken."""
    if not (BUNDLED_MODEL / "midtoken.json").exists():
        pytest.fail(f"there is no bundled model in {BUNDLED_MODEL}")
    return BUNDLED_MODEL
