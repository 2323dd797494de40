"""The options of ``midtoken complete``: what they mean for the request, alone and together with the environment."""

import dataclasses
from typing import Any

import pytest

from engine import CompletionRequest, SamplingParams
from tests.lsp_server.commands.command_line import at, forget_settings, request_of, run


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    forget_settings(monkeypatch)


class TestOptions:
    def test_they_reach_the_request(self, capsys, stub, write, tmp_path):
        options = (
            "--healing off --max-new-tokens 9 --multi-line --strategy sample --temperature 0.5 --top-k 40 --top-p 0.9"
        )
        more = "--seed 7 --budget-ms 250 -n 3 --device cpu --max-surprise-bits 12 --speculation auto"
        outcome = run(
            capsys, "complete", at(write("a"), "1:2"), *options.split(), *more.split(), "--model", tmp_path / "model"
        )
        assert outcome.status == 0
        request = request_of(stub)
        assert (request.healing.mode, request.healing.max_surprise_bits) == ("off", 12)
        assert (request.stop.max_new_tokens, request.stop.lines) == (9, "multi")
        sampling = request.sampling
        assert (sampling.strategy, sampling.temperature, sampling.top_k, sampling.top_p) == ("sample", 0.5, 40, 0.9)
        assert (sampling.seed, request.budget_ms, request.max_completions) == (7, 250, 3)
        assert request.speculation == "auto"
        assert stub.loaded == [(tmp_path / "model", "cpu")]

    def test_without_any_they_are_the_engines_own(self, capsys, stub, write):
        run(capsys, "complete", "--prefix-file", write("a"))
        assert request_of(stub) == CompletionRequest("a")
        assert stub.loaded == [(None, "auto")]

    @pytest.mark.parametrize("option", ["--temperature=0.5", "--top-k=40", "--top-p=0.9", "--min-p=0.1"])
    def test_options_for_drawing_mean_sampling(self, capsys, stub, write, option):
        run(capsys, "complete", at(write("a"), "1:2"), option)
        assert request_of(stub).sampling.strategy == "sample"

    def test_every_parameter_of_sampling_has_an_option(self, capsys, stub, write):
        # Values that differ from the defaults and are within every range.
        values: dict[str, Any] = {}
        for name, default in dataclasses.asdict(SamplingParams()).items():
            if name not in ("strategy", "seed"):
                values[name] = 1 - default / 2 if isinstance(default, float) else default + 1
        values |= {"bat": 0.1, "gate_temperature": 2.0, "gate_varentropy_bits": 1.5}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
        outcome = run(capsys, "complete", at(write("a"), "1:2"), *options, "--strategy", "sample")
        assert (outcome.status, outcome.err) == (0, "")
        assert request_of(stub).sampling == SamplingParams(strategy="sample", **values)

    @pytest.mark.parametrize(
        ("arguments", "names"),
        [
            ("--strategy dreamy", "--strategy"),
            ("--healing magic", "--healing"),
            ("--device tpu", "--device"),
            ("--single-line --multi-line", "--multi-line"),
            ("--max-new-tokens 0", "max_new_tokens"),
            ("--max-new-tokens 99999", "max_new_tokens"),
            ("--max-new-tokens 1.5", "--max-new-tokens"),
            ("--max-surprise-bits -1", "max_surprise_bits"),
            ("--temperature -1", "temperature"),
            ("--temperature nan", "temperature"),
            ("--temperature inf", "temperature"),
            ("--temperature warm", "--temperature"),
            ("--top-p 0", "top_p"),
            ("--top-p 1.01", "top_p"),
            ("--top-k -1", "top_k"),
            ("--strategy beam --temperature 0.5", "temperature"),
            ("--beam-width 0", "beam_width"),
            ("--seed -1", "seed"),
            ("--budget-ms 0", "budget_ms"),
            ("-n 0", "max_completions"),
            ("-n 1000", "max_completions"),
            ("-n", "-n"),
        ],
    )
    def test_values_out_of_range(self, capsys, stub, write, arguments, names):
        outcome = run(capsys, "complete", at(write("a"), "1:2"), *arguments.split())
        assert outcome.status == 2
        assert names in outcome.error
        assert stub.requests == []


class TestEnvironment:
    def test_it_gives_the_defaults(self, capsys, monkeypatch, stub, write, tmp_path):
        values = {
            "MODEL": str(tmp_path),
            "DEVICE": "cpu",
            "HEALING": "off",
            "MAX_NEW_TOKENS": "9",
            "BUDGET_MS": "250",
            "MULTI_LINE": "on",
            "STRATEGY": "sample",
            "TEMPERATURE": "0.5",
            "TOP_P": "0.9",
            "SPECULATION": "auto",
        }
        for name, value in values.items():
            monkeypatch.setenv(f"MIDTOKEN_{name}", value)
        outcome = run(capsys, "complete", at(write("a"), "1:2"))
        assert (outcome.status, outcome.err) == (0, "")
        request = request_of(stub)
        assert (request.healing.mode, request.speculation) == ("off", "auto")
        assert (request.stop.max_new_tokens, request.stop.lines, request.budget_ms) == (9, "multi", 250)
        sampling = request.sampling
        assert (sampling.strategy, sampling.temperature, sampling.top_p) == ("sample", 0.5, 0.9)
        assert stub.loaded == [(tmp_path, "cpu")]

    def test_options_decide_over_it(self, capsys, monkeypatch, stub, write):
        monkeypatch.setenv("MIDTOKEN_HEALING", "off")
        monkeypatch.setenv("MIDTOKEN_MULTI_LINE", "true")
        run(capsys, "complete", at(write("a"), "1:2"), "--healing", "k-step", "--single-line")
        assert request_of(stub).healing.mode == "k-step"
        assert request_of(stub).stop.lines == "single"

    def test_they_say_nothing_to_a_strategy_that_does_not_draw(self, capsys, monkeypatch, stub, write):
        monkeypatch.setenv("MIDTOKEN_TEMPERATURE", "0.5")
        monkeypatch.setenv("MIDTOKEN_TOP_P", "0.5")
        outcome = run(capsys, "complete", at(write("a"), "1:2"), "--strategy", "beam")
        assert (outcome.status, outcome.err) == (0, "")
        assert request_of(stub).sampling == SamplingParams(strategy="beam")

    def test_a_strategy_there_yields_to_options_for_drawing(self, capsys, monkeypatch, stub, write):
        monkeypatch.setenv("MIDTOKEN_STRATEGY", "beam")
        run(capsys, "complete", at(write("a"), "1:2"), "--temperature", "0.5")
        assert request_of(stub).sampling == SamplingParams(strategy="sample", temperature=0.5)

    def test_a_temperature_there_does_not_mean_sampling(self, capsys, monkeypatch, stub, write):
        # Nor does it in the server, which has these settings.
        monkeypatch.setenv("MIDTOKEN_TEMPERATURE", "0.5")
        run(capsys, "complete", at(write("a"), "1:2"))
        assert request_of(stub).sampling.strategy == "greedy"

    def test_what_is_wrong_with_it_is_said_by_name_and_ignored(self, capsys, monkeypatch, stub, write):
        monkeypatch.setenv("MIDTOKEN_HEALING", "magic")
        monkeypatch.setenv("MIDTOKEN_COLOUR", "blue")
        outcome = run(capsys, "complete", "--prefix-file", write("a"))
        assert (outcome.status, outcome.out) == (0, "y as np\n")
        lines = outcome.err.splitlines()
        assert len(lines) == 2
        assert all(line.startswith("midtoken: ") for line in lines)
        assert "MIDTOKEN_HEALING" in outcome.err
        assert "MIDTOKEN_COLOUR" in outcome.err
        assert request_of(stub) == CompletionRequest("a")
