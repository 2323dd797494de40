"""Places in files: of words that occur above, and of any words."""

import json
from pathlib import Path

from benchmarks import cases


def test_again_is_in_words_that_stand_above(tmp_path: Path, monkeypatch):
    (tmp_path / "a.py").write_text("first_name = 1\nsecond = first_name + 1\nsecond = third + third\n")
    out = tmp_path / "out.jsonl"
    count = len("first_name") - 1 + len("second") - 1
    monkeypatch.setattr("sys.argv", ["cases", str(tmp_path), str(out), "--again", "--count", str(count)])
    assert cases.main() == 0
    for line in out.read_text().splitlines():
        case = json.loads(line)
        word = case["prefix"].split()[-1] + case["reference"].split()[0]
        assert word in ("first_name", "second")
    monkeypatch.setattr("sys.argv", ["cases", str(tmp_path), str(out), "--again", "--count", str(count + 1)])
    assert cases.main() == 1
