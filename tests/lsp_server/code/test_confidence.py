"""What is shown of a guess whose tokens have probabilities: golden cases, with ``⟨p⟩`` after each token."""

import math
import re

import pytest

from engine.config import StopParams
from engine.decoding.stopping import StopTracker
from lsp_server.code.confidence import DEFAULT_CONFIDENCE, PROSE_CONFIDENCE, least_confidence
from lsp_server.code.line_mode import lines_wanted
from lsp_server.code.scanner import State
from lsp_server.code.syntax import syntax_of
from tests.lsp_server.golden import GOLDEN, read_cases

CASES = [case for name in ("cases", "characters") for case in read_cases(GOLDEN / "confidence" / f"{name}.txt")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case):
    code = case.code
    least = least_confidence(code.state, DEFAULT_CONFIDENCE, automatic="asked" not in case.options)
    lines = lines_wanted(code.prefix, code.suffix, code.syntax, code.state)
    tracker = StopTracker(StopParams(lines=lines, min_confidence=least), code.prefix.rpartition("\n")[2])
    for text, probability in re.findall(r"([^⟨]+)⟨([.\d]+)⟩", case.model):
        if tracker.push(bytes_of(text), math.log(float(probability))) is not None:
            break
    else:
        tracker.finish("end")
    assert tracker.text == case.expected


def bytes_of(text: str) -> bytes:
    """UTF-8 bytes; ``\\xNN`` in the text stands for one byte, because a token may hold part of a character."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode())


def test_the_least_confidence():
    comment = State((), next(d for d in syntax_of("python").delimited if d.kind == "comment"))
    assert least_confidence(State(), 0.2, automatic=True) == 0.2
    assert least_confidence(comment, 0.2, automatic=True) == PROSE_CONFIDENCE
    assert least_confidence(comment, 0.7, automatic=True) == 0.7
    assert least_confidence(comment, 0.0, automatic=True) == 0.0
    assert least_confidence(State(), 0.2, automatic=False) == 0.0
