"""Prompt assembly: the order of the parts, control ids kept, the tail last."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model_folder.manifest import ControlIds, FimTemplates
from engine.prompt.fim import PromptParts, assemble, choose_order, overhead

PRE, SUF, MID, BEGIN, END = 1, 2, 3, 4, 0
FIM = FimTemplates(
    templates={"psm": (PRE, "prefix", SUF, "suffix", MID), "spm": (PRE, SUF, "suffix", MID, "prefix")}, default="psm"
)
ONLY_SPM = FimTemplates(templates={"spm": FIM.templates["spm"]}, default="spm")
WITH_BEGIN = ControlIds(BEGIN, (END,))
WITHOUT_BEGIN = ControlIds(None, (END,))
PARTS = PromptParts(settled=(10, 11), tail=(20, 21), suffix=(30,))
text_ids = st.lists(st.integers(100, 200), max_size=5).map(tuple)


@pytest.mark.parametrize(
    ("order", "control", "ids"),
    [
        ("plain", WITH_BEGIN, [BEGIN, 10, 11, 20, 21]),
        ("plain", WITHOUT_BEGIN, [10, 11, 20, 21]),
        ("psm", WITH_BEGIN, [BEGIN, PRE, 10, 11, SUF, 30, MID, 20, 21]),
        ("psm", WITHOUT_BEGIN, [PRE, 10, 11, SUF, 30, MID, 20, 21]),
        ("spm", WITH_BEGIN, [BEGIN, PRE, SUF, 30, MID, 10, 11, 20, 21]),
        ("spm", WITHOUT_BEGIN, [PRE, SUF, 30, MID, 10, 11, 20, 21]),
    ],
)
def test_the_order_of_the_parts(order, control, ids):
    prompt = assemble(PARTS, FIM, order, control)
    assert prompt.ids.tolist() == ids
    assert prompt.ids.dtype == np.int32
    assert (prompt.tail, prompt.order) == (PARTS.tail, order)


@pytest.mark.parametrize("fim", [None, FIM])
def test_an_empty_document_with_a_begin_id_is_that_id(fim):
    assert assemble(PromptParts((), (), ()), fim, "plain", WITH_BEGIN).ids.tolist() == [BEGIN]


def test_an_empty_document_without_a_begin_id_starts_after_an_end():
    assert assemble(PromptParts((), (), ()), None, "plain", WITHOUT_BEGIN).ids.tolist() == [END]


def test_a_tail_without_context_has_something_to_stand_on():
    assert assemble(PromptParts((), (7,), ()), None, "plain", WITHOUT_BEGIN).ids.tolist() == [END, 7]
    assert assemble(PromptParts((6,), (7,), ()), None, "plain", WITHOUT_BEGIN).ids.tolist() == [6, 7]


@given(
    st.builds(PromptParts, text_ids, text_ids, text_ids),
    st.sampled_from(["plain", "psm", "spm"]),
    st.sampled_from([WITH_BEGIN, WITHOUT_BEGIN]),
)
def test_every_prompt_ends_in_its_tail_keeps_its_controls_and_fits_its_overhead(parts, order, control):
    prompt = assemble(parts, FIM, order, control)
    ids = prompt.ids.tolist()
    assert len(ids) >= 1
    assert tuple(ids[len(ids) - len(parts.tail) :]) == parts.tail
    text = len(parts.settled) + len(parts.tail) + (len(parts.suffix) if order != "plain" else 0)
    assert text < len(ids) + 1 <= text + overhead(FIM, order) + 1
    if order != "plain":
        # Healing takes back less than the tail, so the sentinels stay.
        kept = ids[: len(ids) - len(parts.tail)]
        assert [token for token in kept if token in (PRE, SUF, MID)] == [
            part for part in FIM.templates[order] if isinstance(part, int)
        ]


@pytest.mark.parametrize("suffix", ["", " ", "\n\n", " \t\r\n"])
def test_nothing_but_white_space_after_the_cursor_needs_no_template(suffix):
    assert choose_order(FIM, suffix) == "plain"


def test_the_order_is_the_one_wanted_where_there_is_one():
    assert choose_order(None, "x") == "plain"
    assert choose_order(FIM, "x") == "psm"
    assert choose_order(FIM, "x", "spm") == "spm"
    assert choose_order(ONLY_SPM, "x", "psm") == "spm"


def test_the_overhead_counts_the_control_ids():
    assert overhead(None, "plain") == overhead(FIM, "plain") == 1
    assert overhead(FIM, "psm") == overhead(FIM, "spm") == 4
