"""The baseline that decodes under the constraint of the typed text, against a slow search over every entry."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.healing.constrained import NextLogits, constrained_first_step, tokens_to_drop
from engine.healing.prefix_index import SortedIndex
from engine.text.tokenizer import Tokenizer
from engine.text.vocabulary import Vocabulary
from tests.engine.healing.test_k_step import TYPED, scan
from tests.fakes import hash_model, toy_tokenizer
from tests.toy import TOYS

toys = st.sampled_from(sorted(TOYS)).map(toy_tokenizer)


def slow(
    prompt: list[int], dropped: int, vocabulary: Vocabulary, logits_of: NextLogits
) -> tuple[list[int], bytes, int]:
    """The tokens that greedy steps write, the text left before the last of them, and that last token."""
    kept, left = prompt[: len(prompt) - dropped], vocabulary.bytes_of(prompt[len(prompt) - dropped :])
    written: list[int] = []
    while True:
        row = logits_of(np.array([*kept, *written], np.int32))
        extending = scan(vocabulary, left)
        inside = [
            token
            for token in vocabulary.candidate_ids.tolist()
            if left.startswith(vocabulary.token_bytes[token]) and len(vocabulary.token_bytes[token]) < len(left)
        ]
        best = max([*extending, *inside], key=lambda token: row[token])
        if best in extending:
            return written, left, best
        written.append(best)
        left = left[len(vocabulary.token_bytes[best]) :]


@given(tokenizer=toys, text=st.sampled_from(sorted(TYPED)).map(TYPED.__getitem__) | st.text(max_size=12))
def test_greedy_steps_agree_with_the_slow_search(tokenizer: Tokenizer, text: str):
    vocabulary = tokenizer.vocabulary
    tail = tokenizer.encode(text)
    index = SortedIndex(vocabulary)
    dropped = tokens_to_drop(tail, vocabulary, index)
    if not dropped:
        return
    model = hash_model(vocabulary.size)

    def logits_of(ids: NDArray[np.int32]) -> NDArray[np.float32]:
        return model(tuple(ids.tolist()))

    prompt = [min(vocabulary.control_ids, default=0), *tail]
    first = constrained_first_step(np.array(prompt, np.int32), dropped, vocabulary, index, logits_of)
    if first is None:  # an alphabet without single bytes
        return
    written, left, best = slow(prompt, dropped, vocabulary, logits_of)
    cover = first.cover(int(np.argmax(first.logprobs)))
    assert (list(cover.extra), cover.typed, cover.token) == (written, len(left), best)
    assert math.isclose(float(np.exp(first.logprobs).sum()), 1.0, rel_tol=1e-4)
    assert vocabulary.bytes_of([*prompt[: cover.kept], *cover.extra]) + left == vocabulary.bytes_of(prompt)


@given(tokenizer=toys, text=st.text(max_size=12))
def test_no_entry_reaches_the_cursor_from_further_back(tokenizer: Tokenizer, text: str):
    vocabulary = tokenizer.vocabulary
    tail = tokenizer.encode(text)
    dropped = tokens_to_drop(tail, vocabulary, SortedIndex(vocabulary))
    data, kept = vocabulary.bytes_of(tail), vocabulary.bytes_of(tail[: len(tail) - dropped])
    for start in range(len(kept)):
        assert all(vocabulary.token_bytes[token] == data[start:] for token in scan(vocabulary, data[start:]))


@pytest.mark.parametrize("name", sorted(TOYS))
def test_nothing_is_dropped_of_nothing(name: str):
    vocabulary = toy_tokenizer(name).vocabulary
    assert tokens_to_drop((), vocabulary, SortedIndex(vocabulary)) == 0
