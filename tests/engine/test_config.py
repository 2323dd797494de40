"""Parameters: every limit from both sides, and messages that name the parameter."""

import math

import pytest

from engine.config import (
    DEVICES,
    HEALING_MODES,
    STRATEGIES,
    HealingParams,
    SamplingParams,
    StopParams,
    require_choice,
    require_range,
)
from engine.errors import RequestError
from engine.types import CompletionRequest

NAN = float("nan")

OUTSIDE = [
    (HealingParams, "mode", "magic"),
    (HealingParams, "k_max", 0),
    (HealingParams, "k_max", 65),
    (HealingParams, "tau", 0),
    (HealingParams, "mixture", -0.001),
    (HealingParams, "mixture", 1.001),
    (HealingParams, "mixture", NAN),
    (HealingParams, "max_surprise_bits", -1.0),
    (HealingParams, "max_surprise_bits", NAN),
    (SamplingParams, "strategy", "guess"),
    (SamplingParams, "temperature", -0.1),
    (SamplingParams, "temperature", 101.0),
    (SamplingParams, "temperature", NAN),
    (SamplingParams, "top_k", -1),
    (SamplingParams, "top_p", 0.0),
    (SamplingParams, "top_p", 1.1),
    (SamplingParams, "seed", -1),
    (SamplingParams, "seed", 2**63),
    (StopParams, "max_new_tokens", 0),
    (StopParams, "max_new_tokens", 4097),
    (StopParams, "lines", "both"),
]
EDGES = [
    (HealingParams, "k_max", 1),
    (HealingParams, "k_max", 64),
    (HealingParams, "tau", 1),
    (HealingParams, "mixture", 0.0),
    (HealingParams, "mixture", 1.0),
    (HealingParams, "max_surprise_bits", 0.0),
    (HealingParams, "max_surprise_bits", math.inf),
    (SamplingParams, "temperature", 0.0),
    (SamplingParams, "temperature", 100.0),
    (SamplingParams, "top_k", 0),
    (SamplingParams, "top_p", 1.0),
    (SamplingParams, "top_p", 1e-9),
    (SamplingParams, "seed", 0),
    (SamplingParams, "seed", 2**63 - 1),
    (StopParams, "max_new_tokens", 1),
    (StopParams, "max_new_tokens", 4096),
    *((HealingParams, "mode", mode) for mode in HEALING_MODES),
    *((SamplingParams, "strategy", strategy) for strategy in STRATEGIES),
    *((StopParams, "lines", lines) for lines in ("single", "multi")),
]


@pytest.mark.parametrize(("params", "name", "value"), OUTSIDE)
def test_a_value_outside_its_range_is_refused_by_name(params, name, value):
    with pytest.raises(RequestError) as caught:
        params(**{name: value})
    message = str(caught.value)
    assert message.startswith("healing" if (params, name) == (HealingParams, "mode") else name)
    assert "must be" in message
    assert "\n" not in message


@pytest.mark.parametrize(("params", "name", "value"), EDGES)
def test_the_edges_of_a_range_belong_to_it(params, name, value):
    assert getattr(params(**{name: value}), name) == value


@pytest.mark.parametrize("stops", [("",), ("a", "")])
def test_an_empty_stop_string_is_refused(stops):
    with pytest.raises(RequestError, match="leave it out"):
        StopParams(stop_strings=stops)


@pytest.mark.parametrize("name", ["top_k", "seed"])
@pytest.mark.parametrize("value", [1.5, math.inf, NAN])
def test_counts_are_whole_numbers(name, value):
    with pytest.raises(RequestError, match=name):
        SamplingParams(**{name: value})


@pytest.mark.parametrize(
    ("params", "name"), [(HealingParams, "k_max"), (HealingParams, "tau"), (StopParams, "max_new_tokens")]
)
def test_other_counts_are_whole_numbers_too(params, name):
    with pytest.raises(RequestError, match=f"{name} is 1.5; it must be a whole number"):
        params(**{name: 1.5})


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_completions", 0), ("max_completions", 65), ("max_completions", 2.0), ("budget_ms", 0.0), ("budget_ms", NAN)],
)
def test_a_request_checks_its_own_numbers(name, value):
    with pytest.raises(RequestError, match=name):
        CompletionRequest("x", **{name: value})


def test_a_request_without_a_budget_has_no_limit():
    assert CompletionRequest("x").budget_ms is None
    assert CompletionRequest("x", budget_ms=0.5).budget_ms == 0.5


def test_messages_say_the_range():
    with pytest.raises(RequestError, match=r"^n is 7; it must be at least 1 and at most 5$"):
        require_range("n", 7, 1, 5)
    with pytest.raises(RequestError, match=r"^n is 0; it must be above 0$"):
        require_range("n", 0, 0, math.inf, open_low=True)
    with pytest.raises(RequestError, match=r"^device is 'tpu'; it must be one of auto, cpu, cuda, cuda-graph$"):
        require_choice("device", "tpu", DEVICES)


def test_large_numbers_are_not_rounded_in_messages():
    with pytest.raises(RequestError, match=r"^tau is 1000001; it must be at least 1 and at most 1000000$"):
        HealingParams(tau=1_000_001)


def test_parameters_are_frozen():
    with pytest.raises(AttributeError):
        StopParams().max_new_tokens = 5  # type: ignore[misc]  # the mistake that is tested
