import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_export.train.corpus import Document
from onnx_export.train.renaming import Renamer, renamer

PIECE = """import parking
class ParkingLot:
    def __init__(self, max_parked):
        self.parked, self.PARKED_MAX = [], max_parked
        self.returned = parking.Lot(once=True)
"""
NEVER_COMMON = Renamer(1.0, frozenset(), ("lattice", "gopher"))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def others(piece: str, made: str) -> dict[str, set[str]]:
    """For each word, the words that replace it."""
    places: dict[str, set[str]] = {}
    for word, other in zip(re.findall("[A-Za-z]+", piece), re.findall("[A-Za-z]+", made), strict=True):
        places.setdefault(word, set()).add(other)
    return places


def test_a_word_is_replaced_everywhere_and_in_its_case():
    made = {Renamer(1.0, frozenset({"self"}), ("lattice",)).rename(PIECE, rng(seed)) for seed in range(8)}
    assert PIECE.replace("parked", "lattice").replace("PARKED", "LATTICE") in made


def test_what_is_imported_common_short_or_said_once_stays():
    words = others(PIECE, NEVER_COMMON.rename(PIECE, rng(1)))
    for word in ("import", "parking", "Parking", "max", "returned", "once", "Lot", "class"):
        assert words.get(word, {word}) == {word}


@given(st.lists(st.sampled_from(["gate", "Gate", "GATE", "door", "_", "é", " = ", ".", "\n", "x1"])), st.integers(0, 9))
def test_nothing_but_words_changes(parts: list[str], seed: int):
    piece = "".join(parts)
    made = NEVER_COMMON.rename(piece, rng(seed))
    assert re.sub("[A-Za-z]+", "W", made) == re.sub("[A-Za-z]+", "W", piece)
    assert all(len(standing) == 1 for standing in others(piece, made).values())
    assert made == NEVER_COMMON.rename(piece, rng(seed))


@pytest.mark.parametrize("count", [1, 40])
def test_words_of_few_files_are_rare(count: int):
    documents = [Document(f"{n}.py", "def shared(): wonder" if n < 3 else "def shared(): pass") for n in range(count)]
    made = renamer(documents)
    assert {"def", "shared"} <= made.common
    assert list(made.rare) == (["wonder"] if count == 40 else [])


def test_without_words_to_take_nothing_changes():
    assert Renamer(1.0, frozenset(), ()).rename(PIECE, rng()) == PIECE
