"""Which text is certain while the first token is still open."""

import math

import numpy as np
import pytest

from engine.config import StopParams
from engine.healing.agreed_prefix import agreed_prefix
from engine.healing.k_step import Cover, CoverGroup, FirstStep
from engine.text.vocabulary import Vocabulary
from engine.types import CompletionRequest, TokenIds
from tests.fakes import control_ids, fake_completer, table_model, toy_tokenizer

ENTRIES = (b"return self.", b"return None", b"return", b"returned", b"re_x", b"x", b"return  ", "retür".encode())
VOCABULARY = Vocabulary(ENTRIES, frozenset(), np.arange(len(ENTRIES), dtype=np.int32), 12, "byte-level")


def first_of(*probabilities: float) -> FirstStep:
    padded = [*probabilities, *[1e-9] * (len(ENTRIES) - len(probabilities))]
    logprobs = np.log(np.array(padded, np.float32))
    return FirstStep((CoverGroup(1, (), 3, np.arange(len(ENTRIES), dtype=np.int32), logprobs),), 0.0)


@pytest.mark.parametrize(
    ("probabilities", "token", "least", "text", "mass"),
    [
        ((0.09, 0.08), 0, 0.1, b"urn ", 0.17),
        ((0.09, 0.08), 0, 0.18, b"", 1.0),
        ((0.3, 0.08), 0, 0.1, b"urn self.", 0.3),
        ((0.09, 0.01, 0.3), 0, 0.2, b"urn", 0.4),
        ((0.09, 0.01, 0.0, 0.8), 0, 0.2, b"", 1.0),  # another word with the same beginning
        ((0.0, 0.2, 0.2), 2, 0.1, b"", 1.0),  # it may continue
        ((0.0, 0.0, 0.0, 0.0, 0.05), 4, 0.01, b"", 1.0),
        ((0.0,) * 7 + (0.3,), 7, 0.1, b"", 1.0),
    ],
)
def test_the_longest_beginning_that_covers_agree_in(
    probabilities: tuple[float, ...], token: int, least: float, text: bytes, mass: float
):
    first = first_of(*(max(probability, 1e-9) for probability in probabilities))
    found, logprob = agreed_prefix(first, Cover(1, (), token, 3, 0.0), VOCABULARY, least)
    assert found == text
    assert logprob == pytest.approx(math.log(mass), abs=1e-3)


@pytest.mark.parametrize(("least", "text"), [(0.9, "py"), (0.3, "py as np")])
def test_a_completion_keeps_the_word_in_which_its_first_tokens_agree(least: float, text: str):
    tokenizer = toy_tokenizer("superword")
    size, ids = tokenizer.vocabulary.size, {data: at for at, data in enumerate(tokenizer.vocabulary.token_bytes)}
    end, *_ = control_ids(tokenizer)
    table: dict[TokenIds, dict[int, float]] = {(): {ids[b"import numpy as np"]: 5.0, ids[b"import numpy"]: 4.9}}
    completer, _ = fake_completer(tokenizer, table_model(size, table, floor=-9.0), begin=end)
    stop = StopParams(max_new_tokens=1, min_confidence=least)
    completions = completer.complete(CompletionRequest("import num", stop=stop)).completions
    assert [completion.text for completion in completions] == [text]
    if text == "py":
        assert completions[0].stop == "doubt"
        assert completions[0].logprob == pytest.approx(0.0, abs=0.01)
