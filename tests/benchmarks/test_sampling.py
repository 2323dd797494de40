"""The benchmarks of sampling run and report what they should, on sizes that take no time."""

import pytest

from benchmarks import sampling, strategies
from benchmarks.tables import BenchOptions
from engine import CompletionRequest, SamplingParams
from lsp_server.commands.evaluation import Case
from tests.engine.decoders import END
from tests.fakes import fake_completer, scripted_model, toy_tokenizer


def test_every_chain_has_a_row_for_each_size(monkeypatch):
    monkeypatch.setattr(sampling, "SIZES", (300, 600))
    report = sampling.run(BenchOptions(repetitions=1))
    names = [str(row[0]) for row in report.tables[0].rows]
    assert len(names) == 2 * len(sampling.CHAINS)
    assert all(float(row[1]) > 0 for row in report.tables[0].rows)
    assert any("at 600, ms" in ratio.name and ratio.at_most == 0.5 for ratio in report.ratios)


@pytest.mark.parametrize("name", ["greedy", "beam 4, alpha 0.6", "branch"])
def test_a_strategy_is_judged_by_its_first_line(name):
    tokenizer = toy_tokenizer("byte-level")
    end = min(tokenizer.vocabulary.control_ids)
    assert end != END
    completer, _ = fake_completer(tokenizer, scripted_model(tokenizer, "import numpy\n", end=end))
    case = Case("1", "import nu", "", "mpy")
    request = CompletionRequest(case.prefix, sampling=strategies.VARIANTS[name])
    answer = strategies._answer(completer, case, request)
    assert answer.first_is_exact
    assert answer.any_is_exact
    assert strategies._row(name, [answer]).startswith(f"| {name} | 100.0% | 3.00 | 100.0% |")


def test_variants_are_what_the_engine_accepts():
    assert all(isinstance(params, SamplingParams) for params in strategies.VARIANTS.values())
