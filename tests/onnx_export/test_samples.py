import numpy as np
import pytest

from onnx_export.train.corpus import Corpus
from onnx_export.train.renaming import Renamer
from onnx_export.train.samples import (
    MAX_PIECE_CHARS,
    Cut,
    cut_piece,
    epoch_samples,
    make_sample,
    pieces,
    psm_parts,
    spm_parts,
)
from onnx_export.train.tokenizer import ControlIds
from tests.onnx_export.source_text import make_source

EOT, PRE, SUF, MID, SEP = 0, 1, 2, 3, 4
IDS = ControlIds(EOT, PRE, SUF, MID, SEP)
TEXT = make_source(7)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_prefix_suffix_middle():
    assert psm_parts(Cut("ab", "c", "de"), IDS) == (PRE, "ab", SUF, "de", MID, "c", EOT)


def test_suffix_prefix_middle_has_prefix_and_middle_as_one_text():
    assert spm_parts(Cut("ab", "c", "de"), IDS) == (PRE, SUF, "de", MID, "abc", EOT)


@pytest.mark.parametrize("place", ["anywhere", "before_break", "line_start"])
def test_a_cut_loses_nothing(place):
    for seed in range(200):
        cut = cut_piece(TEXT, place, rng(seed))
        assert cut.prefix + cut.middle + cut.suffix == TEXT


def test_a_cut_at_a_line_start():
    for seed in range(200):
        cut = cut_piece(TEXT, "line_start", rng(seed))
        assert cut.prefix == "" or cut.prefix.endswith("\n")


def test_a_cut_before_a_line_break_gives_the_break_to_the_middle():
    for seed in range(200):
        cut = cut_piece(TEXT, "before_break", rng(seed))
        assert not cut.prefix.endswith("\n")
        assert cut.prefix == "" or (cut.middle + cut.suffix).startswith("\n")


def test_cuts_fall_inside_words():
    cuts = [cut_piece(TEXT, "anywhere", rng(seed)) for seed in range(300)]
    inside = [cut for cut in cuts if cut.prefix[-1:].isalpha() and (cut.middle + cut.suffix)[:1].isalpha()]
    assert len(inside) > 60


@pytest.mark.parametrize("piece", ["", "\n", "x", "\n\n\n", "a\nb"])
def test_degenerate_pieces(piece):
    for seed in range(20):
        for place in ("anywhere", "before_break", "line_start"):
            cut = cut_piece(piece, place, rng(seed))
            assert cut.prefix + cut.middle + cut.suffix == piece


def test_pieces_are_the_text():
    text = TEXT * 30
    for seed in range(20):
        parts = list(pieces(text, rng(seed)))
        assert "".join(parts) == text
        assert all(0 < len(part) <= MAX_PIECE_CHARS + 200 for part in parts)


def test_half_of_the_samples_are_for_the_middle_in_two_equal_orders():
    samples = [make_sample(TEXT, (), IDS, rng(seed)) for seed in range(2_000)]
    psm = sum(SUF in sample.parts and sample.parts[1] != SUF for sample in samples)
    spm = sum(sample.parts[1] == SUF for sample in samples)
    assert psm == pytest.approx(500, abs=80)
    assert spm == pytest.approx(500, abs=80)
    assert all(sample.parts[-1] == EOT for sample in samples)
    assert all(sample.cuttable == (PRE not in sample.parts) for sample in samples)


def test_an_epoch_is_the_same_for_the_same_seed_and_another_for_another(corpus: Corpus):
    first, again, other = (list(epoch_samples(corpus.train, IDS, rng(seed))) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
def test_a_share_of_the_pieces_has_other_names(corpus: Corpus, rate: float):
    renamer = Renamer(rate, frozenset(), ("lattice",))
    samples = list(epoch_samples(corpus.train, IDS, rng(), renamer=renamer))
    renamed = sum("lattice" in "".join(map(str, sample.parts)) for sample in samples) / len(samples)
    assert abs(renamed - rate) <= (0.2 if 0 < rate < 1 else 0)


def test_some_samples_start_with_a_neighbouring_file(corpus: Corpus):
    samples = list(epoch_samples(corpus.train, IDS, rng()))
    with_neighbour = [sample for sample in samples if sample.parts[0] == SEP]
    assert 0 < len(with_neighbour) < len(samples) / 4
    assert all(sample.parts[2] == SEP and str(sample.parts[3]).endswith(".py\n") for sample in with_neighbour)
