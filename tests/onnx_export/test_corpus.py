from pathlib import Path

import pytest

from engine.errors import TrainingError
from onnx_export.train.corpus import Document, is_held_out, read_corpus
from tests.onnx_export.conftest import make_source


def write(folder: Path, path: str, content: bytes) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)


def paths(folder: Path) -> set[str]:
    corpus = read_corpus(folder)
    return {document.path for document in corpus.train + corpus.held_out}


def test_tables_duplicates_and_undecodable_files_are_left_out(tmp_path: Path):
    good = make_source(1).encode()
    write(tmp_path, "good.py", good)
    write(tmp_path, "z_copy.py", b"\n" + good)
    write(tmp_path, "latin.py", b"# caf\xe9\n" + make_source(2).encode())
    write(tmp_path, "numbers_only.py", b"TABLE = [" + b"0x12, 34,\n" * 200 + b"]")
    write(tmp_path, "one_long_line.py", b"x = '" + b"a" * 5_000 + b"'")
    write(tmp_path, "short.py", b"x = 1\n")
    write(tmp_path, "encodings/cp037.py", make_source(3).encode())
    write(tmp_path, "site-packages/other.py", make_source(4).encode())
    write(tmp_path, "pydoc_data/topics.py", make_source(5).encode())
    assert paths(tmp_path) == {"good.py"}


def test_line_ends_become_newlines(tmp_path: Path):
    write(tmp_path, "a.py", b"\xef\xbb\xbf" + make_source(1).replace("\n", "\r\n").encode())
    (document,) = read_corpus(tmp_path).train
    assert document.text == make_source(1)


def test_the_held_out_files_depend_on_their_path_alone(tmp_path: Path, sources: Path):
    corpus = read_corpus(sources)
    assert corpus.held_out
    assert all(is_held_out(document.path) for document in corpus.held_out)
    assert not any(is_held_out(document.path) for document in corpus.train)
    share = sum(is_held_out(f"package/module_{number}.py") for number in range(20_000)) / 20_000
    assert share == pytest.approx(0.02, abs=0.004)


def test_tests_are_known_as_such():
    assert Document("test/test_os.py", "").is_test
    assert Document("unittest/test/support.py", "").is_test
    assert not Document("unittest/case.py", "").is_test


def test_no_text_is_one_clear_line(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"no Python text to train on .* --corpus"):
        read_corpus(tmp_path)


def test_nothing_but_held_out_text_is_one_clear_line(tmp_path: Path):
    name = next(name for number in range(1000) if is_held_out(name := f"m{number}.py"))
    write(tmp_path, name, make_source(1).encode())
    with pytest.raises(TrainingError, match="held-out set"):
        read_corpus(tmp_path)
