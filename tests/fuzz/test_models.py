"""A sample of `tests.fuzz.models` that takes seconds; ``make test-fuzz`` runs ten thousand of each kind."""

import json
import random

import pytest

from engine.errors import ModelFolderError
from tests.fuzz import models
from tests.fuzz.cases import KINDS, Kind
from tests.fuzz.models import Outcome, run_case, run_kind
from tests.fuzz.mutations import mutate_bytes, mutate_json

IN_PROCESS = [kind for kind in KINDS if kind not in models.CONTAINED]


@pytest.mark.parametrize("kind", IN_PROCESS)
def test_hostile_files_are_read_or_refused_in_one_line(tmp_path, kind):
    outcomes = {run_case(kind, number, 99, tmp_path) for number in range(30)}
    assert len(outcomes) > 1  # some files are refused, and for different reasons


def test_hostile_graphs_end_no_process_but_their_own():
    outcome = run_kind("ONNX graph", 40, 99)
    assert outcome.failures == []
    assert outcome.cases == 40
    assert outcome.refused.total() > 20


def test_a_case_is_the_same_every_time(tmp_path):
    for kind in KINDS:
        made = []
        for _ in range(2):
            KINDS[kind].make(random.Random(f"{kind} 0 7"), tmp_path)
            made.append({file.name: file.read_bytes() for file in tmp_path.iterdir()})
        assert made[0] == made[1]


def test_what_goes_wrong_is_seen(tmp_path, monkeypatch):
    """An error of another kind, one of several lines, a process that ends: none of them counts as a refusal."""
    broken = dict(KINDS)
    monkeypatch.setattr(models, "KINDS", broken)

    def reads_with(error: Exception) -> None:
        def read(_: object) -> None:
            raise error

        broken["manifest"] = Kind(lambda chance, folder: None, read)

    reads_with(ModelFolderError("good"))
    assert run_case("manifest", 0, 0, tmp_path) == "ModelFolderError"
    for error in (TypeError("bad"), ModelFolderError("")):
        reads_with(error)
        with pytest.raises((TypeError, AssertionError)):
            run_case("manifest", 0, 0, tmp_path)
    assert not Outcome("manifest", ended=[3]).is_good
    assert not Outcome("ONNX graph", failures=["case 3"]).is_good
    assert Outcome("ONNX graph", ended=[3]).is_good
    assert not Outcome("GGUF", growth_mib=models.MOST_GROWTH_MIB + 1).is_good


def test_mutations_change_something_and_stay_what_they_are():
    chance = random.Random(0)
    base = {"a": [1, 2, {"b": "c"}], "d": None}
    changed = [mutate_json(json.loads(json.dumps(base)), chance, 1) for _ in range(50)]
    assert sum(json.dumps(raw) != json.dumps(base) for raw in changed) > 30
    assert sum(mutate_bytes(b"0123456789" * 10, chance, 1) != b"0123456789" * 10 for _ in range(50)) > 30
