"""The command line with the bundled model, as it is installed."""

import json
from typing import Any

import pytest

from engine import BUNDLED_MODEL
from tests.lsp_server.commands.command_line import ROOT, forget_settings, require_bundled_model, run, run_process

DOCUMENT = ROOT / "docs" / "examples" / "inventory.py"


@pytest.fixture(autouse=True)
def _bundled(monkeypatch):
    require_bundled_model()
    forget_settings(monkeypatch)


@pytest.fixture
def position(tmp_path):
    """Inside ``return`` in the demonstration's file, where the rest of the line is not typed yet."""
    text = DOCUMENT.read_text(encoding="utf-8")
    line = "        ret"
    cursor = text.index(line) + len(line)
    path = tmp_path / "inventory.py"
    path.write_text(text[:cursor] + text[text.index("\n", cursor) :], encoding="utf-8")
    return f"{path}:{text.count(chr(10), 0, cursor) + 1}:{len(line) + 1}"


def completions(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    outcome = run(capsys, "complete", *arguments, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(outcome.out)["completions"]
    return found


def test_a_process_completes(position):
    outcome = run_process(["complete", position, "--json"])
    assert (outcome.status, outcome.err) == (0, "")
    printed = json.loads(outcome.out)
    assert printed["model"]["path"] == str(BUNDLED_MODEL)
    assert printed["completions"]
    assert printed["timing_ms"]["total"] >= sum(
        value for name, value in printed["timing_ms"].items() if name in ("load", "prefill", "decode")
    )


def test_standard_input_is_completed():
    outcome = run_process(["complete", "--prefix-file", "-", "--multi-line"], b"import os\r\n\r\nif not os.pa")
    assert (outcome.status, outcome.err) == (0, "")
    assert "\r" not in outcome.out.replace("\r\n", "\n")


@pytest.mark.parametrize("mode", ["k-step", "exact"])
def test_a_healed_keyword_goes_on(capsys, position, mode):
    (completion,) = completions(capsys, position, "--healing", mode)
    assert completion["text"].startswith("urn")
    assert completion["healing"]["mode"] == mode
    assert "        ret".endswith(completion["healing"]["tail"])


def test_without_healing_nothing_is_taken_back(capsys, position):
    for completion in completions(capsys, position, "--healing", "off"):
        assert completion["healing"] == {
            "mode": "off",
            "tail": "",
            "tokens_back": 0,
            "covers": 0,
            "surprise_bits": 0.0,
        }


def test_the_same_seed_gives_the_same_completions(capsys, position):
    arguments = [position, "-n", "3", "--temperature", "0.8", "--top-p", "0.95", "--seed", "5"]
    first, second = completions(capsys, *arguments), completions(capsys, *arguments)
    assert first == second
    assert len({completion["text"] for completion in first}) == len(first) > 1


def test_at_most_as_many_tokens_as_allowed(capsys, position):
    (completion,) = completions(capsys, position, "--max-new-tokens", "1", "--multi-line")
    assert completion["tokens"] == 1
    assert completion["stop"] in ("length", "end")


def test_cuda_without_a_device_completes_on_the_cpu(capsys, monkeypatch, position):
    monkeypatch.setattr("engine.runtime.graph.cuda_device_count", lambda: 0)
    outcome = run(capsys, "complete", position, "--device", "cuda", "--json")
    assert outcome.status == 0
    assert len(outcome.err.splitlines()) == 1
    assert json.loads(outcome.out)["model"]["device"] == "cpu"


@pytest.mark.parametrize(
    "text", [pytest.param("x = 1\n" * 800_000, id="5 MB"), pytest.param("x" * 1_000_000, id="a line of 1 MB")]
)
def test_large_documents(capsys, tmp_path, text):
    path = tmp_path / "large.py"
    path.write_text(text, encoding="utf-8")
    position = f"{path}:{text.count(chr(10)) + 1}:{len(text) - text.rfind(chr(10))}"
    completions(capsys, position, "--max-new-tokens", "2")


def test_inspect_says_what_takes_the_place_of_the_trie(capsys, monkeypatch):
    monkeypatch.setattr("engine.healing.prefix_index.datrie", None)
    outcome = run(capsys, "inspect")
    (line,) = [line for line in outcome.out.splitlines() if "prefix index" in line]
    assert "sorted array" in line
    assert "midtoken[datrie]" in line


def test_inspect_states_what_is_bundled(capsys):
    outcome = run(capsys, "inspect", "--text", "import num", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    printed = json.loads(outcome.out)
    assert printed["model"]["licence"]
    assert printed["model"]["fill_in_the_middle"]
    assert printed["characters_per_token"]["python"] > 3
    assert printed["healing"]["covers"]
