"""The whole recipe at the size of a test: sources, corpus, tokenizer, training, export, a completion."""

import json
import shutil
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from engine import Completer, CompletionRequest
from onnx_export.__main__ import main as export
from onnx_export.measure import measure
from onnx_export.train.__main__ import main as train

pytestmark = pytest.mark.slow

PARTS = ("asyncio", "email", "http", "json", "logging", "unittest", "urllib", "xml", "importlib", "concurrent")
STEPS = 60


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some packages of the standard library."""
    folder = tmp_path_factory.mktemp("library")
    for part in PARTS:
        shutil.copytree(Path(sysconfig.get_path("stdlib")) / part, folder / part)
    return folder


def run(library: Path, out: Path) -> dict[str, Any]:
    options = ["--corpus", str(library), "--size", "tiny", "--vocabulary", "1500", "--steps", str(STEPS)]
    assert train(["--out", str(out), *options]) == 0
    figures: dict[str, Any] = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    return figures


def test_the_recipe_makes_a_model_that_completes_and_makes_it_again(library: Path, tmp_path: Path):
    figures = run(library, tmp_path / "one")
    # Without any training, 1,500 entries cost 3.8 bits a byte at this length of tokens.
    assert figures["bytes_per_token"] > 2.5
    assert figures["held_out_bits_per_byte"] < 3.2
    assert run(library, tmp_path / "two")["held_out_bits_per_byte"] == figures["held_out_bits_per_byte"]

    model = tmp_path / "exported"
    assert export([str(tmp_path / "one" / "model"), str(model), "--precision", "int4"]) == 0
    assert measure(model, library)["held_out_bits_per_byte"] == pytest.approx(
        figures["held_out_bits_per_byte"], rel=0.02
    )
    result = Completer.load(model).complete(CompletionRequest("import os\n\n\ndef f(self, name):\n    retu"))
    assert result.completions[0].text.startswith("rn")
