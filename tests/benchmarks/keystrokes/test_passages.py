import pytest

from benchmarks.keystrokes.passages import draw, read

TEXT = "".join(f"def f{number}(x):\n    return x + {number}\n\n\n" for number in range(200))


def test_passages_are_whole_lines_in_their_files_and_no_line_is_typed_twice():
    texts = [TEXT, TEXT.replace("f", "g")]
    found = draw(texts, 2000, seed=1)
    assert found == draw(texts, 2000, seed=1)
    assert found != draw(texts, 2000, seed=2)
    assert 2000 <= sum(len(passage.text) for passage in found) < 2400
    for passage in found:
        assert any(text.startswith(passage.before + passage.text) and text.endswith(passage.after) for text in texts)
        assert passage.before == "" or not passage.before.rpartition("\n")[2].strip()
        assert passage.text == passage.text.strip()
    assert len({passage.text for passage in found}) == len(found)


def test_there_are_no_more_passages_than_the_files_hold():
    assert draw(["x = 1\n" * 10], 10_000, seed=0) == []
    assert draw([], 10, seed=0) == []
    assert draw([("y" * 121 + "\n") * 10], 10, seed=0) == []


def test_files_and_folders_are_read(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "b.py").write_bytes(b"b\r\n")
    (tmp_path / "pack" / "a.py").write_text("a\n")
    (tmp_path / "pack" / "c.txt").write_text("c\n")
    assert read([tmp_path / "pack", tmp_path / "pack" / "c.txt"]) == ["a\n", "b\n", "c\n"]


@pytest.mark.parametrize("indent", ["\t", "    "])
def test_a_level_of_indentation_is_that_of_the_file(indent):
    passages = draw([f"if x:\n{indent}y()\n" * 9], 5, seed=0)
    assert {passage.indent for passage in passages} == {indent}
