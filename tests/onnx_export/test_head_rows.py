import numpy as np

from benchmarks.gpu import head_rows


def test_both_ways_of_scoring_candidates_are_measured():
    found = head_rows(width=64, rows=500, candidates=7, rounds=3, device="cpu")
    assert found.keys() == {"full", "gathered"}
    for seconds in found.values():
        assert len(seconds) == 3
        assert (np.array(seconds) > 0).all()
