import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import TrainingError
from onnx_export.train.corpus import Corpus, Document, read_corpus
from onnx_export.train.corpus.documents import (
    CORPUS_NAME,
    STANDARD_LIBRARY,
    is_held_out,
    is_held_out_package,
    is_test,
    read_documents,
    write_documents,
)

DOCUMENT = Document("a/b.py", "x = 1\n", "a", "1.0", "MIT", "package", 0.5)


def test_the_held_out_files_depend_on_their_path_alone(sources: Path):
    corpus = read_corpus(sources)
    assert corpus.held_out
    assert all(is_held_out(document.path) for document in corpus.held_out)
    assert not any(is_held_out(document.path) for document in corpus.train)
    share = sum(is_held_out(f"package/module_{number}.py") for number in range(20_000)) / 20_000
    assert share == pytest.approx(0.02, abs=0.004)


@pytest.mark.parametrize("path", ["test/test_os.py", "unittest/test/support.py", "a/conftest.py", "a/test_b.py"])
def test_tests_are_known_as_such(path: str):
    assert is_test(path)


@pytest.mark.parametrize("path", ["a/b_test.go", "a/b.spec.ts", "a/__tests__/b.js", "a/b.bats", "a/spec/b.js"])
def test_tests_of_other_languages_are_known_as_such(path: str):
    assert is_test(path)


@pytest.mark.parametrize("path", ["unittest/case.py", "a/latest.py", "a/testimony.py"])
def test_other_files_are_not_tests(path: str):
    assert not is_test(path)


def test_whole_packages_are_held_out_by_their_names():
    name = next(name for number in range(1_000) if is_held_out_package(name := f"p{number}"))
    path = next(path for number in range(1_000) if not is_held_out(path := f"a{number}.py"))
    assert replace(DOCUMENT, path=path, package=name).held_out
    assert not replace(DOCUMENT, path=path, package="").held_out
    share = sum(is_held_out_package(f"p{number}") for number in range(20_000)) / 20_000
    assert share == pytest.approx(1 / 12, abs=0.01)
    assert not is_held_out_package("")
    assert not is_held_out_package(STANDARD_LIBRARY)


def test_each_line_tells_licence_and_hash(tmp_path: Path):
    write_documents([DOCUMENT], tmp_path / CORPUS_NAME)
    (line,) = gzip.decompress((tmp_path / CORPUS_NAME).read_bytes()).splitlines()
    values = json.loads(line)
    assert (values["licence"], values["licence_from"], values["held_out"]) == ("MIT", "package", False)
    assert values["sha256"] == DOCUMENT.sha256
    assert list(read_documents(tmp_path / CORPUS_NAME)) == [DOCUMENT]


@pytest.mark.parametrize(
    "damage", ["truncated", "half a line", "altered text", "other fields", "bytes", "not compressed"]
)
def test_a_damaged_corpus_is_one_clear_line(tmp_path: Path, damage: str):
    path = tmp_path / CORPUS_NAME
    write_documents([DOCUMENT], path)
    whole = path.read_bytes()
    content = gzip.decompress(whole)
    path.write_bytes(
        {
            "truncated": whole[: len(whole) // 2],
            "half a line": gzip.compress(content[: len(content) // 2]),
            "altered text": gzip.compress(content.replace(b"x = 1", b"x = 2")),
            "other fields": gzip.compress(b'{"path": "a.py"}\n'),
            "bytes": gzip.compress(b"\xff\xfe\n"),
            "not compressed": content,
        }[damage]
    )
    with pytest.raises(TrainingError, match=r"is damaged: build it again"):
        list(read_documents(path))


def test_a_corpus_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(TrainingError, match="cannot read"):
        list(read_documents(tmp_path / CORPUS_NAME))


def test_the_fingerprint_sees_texts_weights_and_order():
    other = replace(DOCUMENT, path="a/c.py")
    corpora = [
        Corpus((DOCUMENT, other), ()),
        Corpus((other, DOCUMENT), ()),
        Corpus((replace(DOCUMENT, weight=1.0), other), ()),
        Corpus((replace(DOCUMENT, text="y = 1\n"), other), ()),
    ]
    assert len({corpus.fingerprint for corpus in corpora}) == len(corpora)
    assert corpora[0].fingerprint == Corpus((DOCUMENT, other), (other,)).fingerprint
