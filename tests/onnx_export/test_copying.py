from pathlib import Path

import pytest

from benchmarks import copying
from benchmarks.copying import Guess, guesses
from tests.onnx_export.source_text import make_source


def test_a_guess_is_what_followed_the_longest_run_the_last_time():
    assert list(guesses([1, 2, 3, 1, 2, 4, 2, 5])) == [
        Guess(3, target=2, copied=2, length=1),
        Guess(4, target=4, copied=3, length=2),
        Guess(6, target=5, copied=4, length=1),
    ]
    assert [guess.length for guess in guesses([7] * 7)] == [1, 2, 3, 4, 4]


def test_the_table(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for number in range(4):
        (tmp_path / f"{number}.py").write_text(make_source(number) * 4, encoding="utf-8")
    assert copying.main([str(tmp_path), str(checkpoint), "--pieces", "3"]) == 0
    out = capsys.readouterr().out
    assert "bits a byte" in out
    last = next(line for line in out.splitlines() if line.startswith("| 4 or more"))
    _, places, copied, chosen, nats = (cell.strip(" %") for cell in last.strip("|").split("|"))
    assert int(places) > 100
    assert float(copied) > 50 > float(chosen), "the text repeats itself, and the weights are random"
    assert float(nats) > 2


@pytest.mark.parametrize(("folder", "says"), [("", "lower --pieces"), ("model", "it has no tokenizer.json")])
def test_what_is_missing_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str, says: str
):
    text = make_source(1) * 12
    if folder:
        (tmp_path / "a.py").write_text(text, encoding="utf-8")
    assert copying.main([str(tmp_path), str(tmp_path / "model"), "--pieces", "1"]) == 1
    assert says in capsys.readouterr().err
