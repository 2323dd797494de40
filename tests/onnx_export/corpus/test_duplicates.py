import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_export.train.corpus.duplicates import SHINGLE_WORDS, jaccard, near_duplicates, shingles


def text(seed: int, count: int = 400) -> str:
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(50)}" for _ in range(count))


def reference(one: str, other: str) -> float:
    """Jaccard similarity of the sets of runs of five words."""

    def runs(words: list[str]) -> set[tuple[str, ...]]:
        length = min(SHINGLE_WORDS, len(words))
        return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}

    first, second = runs(one.split()), runs(other.split())
    return len(first & second) / len(first | second)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.lists(st.sampled_from("abc"), min_size=1, max_size=30)
)
def test_similarity_is_that_of_the_sets(one: list[str], other: list[str]):
    left, right = " ".join(one), " ".join(other)
    assert jaccard(shingles(left), shingles(right)) == pytest.approx(reference(left, right))


def test_copies_are_found_and_others_kept():
    base, unrelated = text(1), text(2)
    near = base.replace("w7 ", "w8 ", 3)
    assert reference(base, near) > 0.8
    half = base[: len(base) // 2] + " " + text(3, 200)
    assert reference(base, half) < 0.5
    assert near_duplicates([base, unrelated, near, half, base, unrelated]) == [None, None, 0, None, 0, 1]


def test_a_copy_of_a_copy_names_the_one_that_is_kept():
    one = text(1)
    two = one.replace("w1 ", "w2 ", 2)
    three = two.replace("w3 ", "w4 ", 2)
    assert near_duplicates([one, two, three]) == [None, 0, 0]


def test_texts_without_words():
    assert near_duplicates(["", "()", "a b"]) == [None, 0, None]
    assert shingles("").dtype == np.uint64
