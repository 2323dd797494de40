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


BODY = """\
def first(a):
    one = a + 1

    return one


class Second:
    def third(self):
        return 3
"""


def test_a_body_is_cut_out_as_if_nobody_had_written_it(tmp_path: Path, monkeypatch):
    (tmp_path / "a.py").write_text(BODY)
    out = tmp_path / "out.jsonl"
    monkeypatch.setattr("sys.argv", ["cases", str(tmp_path), str(out), "--cut", "body", "--suffix", "--count", "3"])
    assert cases.main() == 0
    found = {case["reference"]: case for case in map(json.loads, out.read_text().splitlines())}
    assert set(found) == {"one = a + 1", "def third(self):", "return 3"}
    assert found["one = a + 1"]["prefix"] == "def first(a):\n    "
    assert found["one = a + 1"]["suffix"] == "\n\n\nclass Second:\n    def third(self):\n        return 3\n"
    assert found["def third(self):"]["suffix"].strip() == ""
    assert found["return 3"]["prefix"].endswith("def third(self):\n        ")
