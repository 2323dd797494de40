import random
from pathlib import Path

import pytest

from engine.errors import TrainingError
from onnx_export.train.corpus.build import (
    PACKAGE_BYTES,
    build,
    read_corpus,
    standard_library,
    weighted,
)
from onnx_export.train.corpus.documents import (
    CORPUS_NAME,
    STANDARD_LIBRARY,
    TEST_WEIGHT,
    Document,
    is_held_out,
    write_documents,
)
from onnx_export.train.corpus.sources import RawFile
from tests.onnx_export.source_text import make_source


def write(folder: Path, path: str, content: bytes) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)


def paths(folder: Path) -> set[str]:
    corpus = read_corpus(folder)
    return {document.path for document in corpus.train + corpus.held_out}


def words(seed: int, count: int = 300) -> str:
    """Text that shares no run of five words with the text of another seed."""
    rng = random.Random(seed)
    return "".join("".join(rng.choices("abcdefgh", k=9)) + " = value\n" for _ in range(count))


def raw(path: str, text: str, licence: str | None = "MIT") -> RawFile:
    return RawFile(path, text.encode(), "some", "1.0", licence, "package")


def reasons(*files: RawFile) -> dict[str, str]:
    return {item.path: item.reason for item in build(files).left_out}


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


def test_near_and_exact_duplicates_name_what_they_repeat():
    text = words(1)
    changed = text.replace("value\n", "values\n", 3)
    found = reasons(raw("a.py", text), raw("b.py", changed), raw("c.py", text + "\n\n"), raw("d.py", words(2)))
    assert found == {"b.py": "near duplicate of a.py", "c.py": "duplicate"}


def test_the_licence_of_a_file_is_its_headers_else_its_packages():
    built = build(
        [
            raw("plain.py", words(1)),
            raw("own.py", "# SPDX-License-Identifier: Apache-2.0\n" + words(2)),
            raw("copyleft.py", "# Licensed under the GNU General Public License, version 3\n" + words(3)),
            raw("package_of_unknown_licence.py", words(4), licence=None),
            raw("unknown_but_own.py", "# MIT License\n" + words(5), licence=None),
            raw("talks_about.py", words(6) + '\nCHOICES = ["GPLv3", "Mozilla Public License"]\n'),
        ]
    )
    assert {document.path: (document.licence, document.licence_from) for document in built.documents} == {
        "plain.py": ("MIT", "package"),
        "own.py": ("Apache-2.0", "file"),
        "unknown_but_own.py": ("MIT", "file"),
        "talks_about.py": ("MIT", "package"),
    }
    assert {item.path: item.reason for item in built.left_out} == {
        "copyleft.py": "licence: not permissive",
        "package_of_unknown_licence.py": "licence: unknown",
    }


def test_a_notice_at_the_top_is_not_learned():
    (document,) = build([raw("a.py", "#!/usr/bin/env python\n# Copyright 2020 Somebody\n\n" + words(1))]).documents
    assert document.text == words(1)
    (kept,) = build([raw("a.py", "# What this does\n" + words(1))]).documents
    assert kept.text.startswith("# What this does")
    assert reasons(raw("b.py", "# Licence: MIT\n" * 40 + "x = 1\n")) == {"b.py": "short"}


def test_large_packages_and_tests_weigh_less():
    documents = [
        Document("big/a.py", "x" * PACKAGE_BYTES, "big"),
        Document("big/b.py", "x" * PACKAGE_BYTES, "big"),
        Document("small/a.py", "x" * 1_000, "small"),
        Document("small/tests/test_a.py", "x" * 1_000, "small"),
        Document("own.py", "x", ""),
    ]
    big_a, big_b, small, test, own = weighted(documents)
    assert big_a.weight == big_b.weight == 0.5
    assert (small.weight, own.weight) == (2.0, 1.0)
    assert test.weight == pytest.approx(small.weight * TEST_WEIGHT)


def test_each_language_of_a_package_has_its_share_and_factor():
    documents = [
        Document("big/a.go", "x" * PACKAGE_BYTES * 2, "big"),
        Document("big/b.c", "x" * PACKAGE_BYTES, "big"),
        Document("big/c.md", "x" * PACKAGE_BYTES, "big"),
    ]
    assert [document.weight for document in weighted(documents, {"c": 0.5, "markdown": 0.25})] == [0.5, 0.5, 0.25]
    assert [
        item.path for item in build([raw("a.go", words(1)), raw("b.md", words(2))], True, {"go": 1.0}).documents
    ] == ["a.go"]


def test_a_corpus_that_was_written_is_read_again(tmp_path: Path):
    documents = weighted([Document(f"m{number}.py", make_source(number), "some", "1", "MIT") for number in range(120)])
    write_documents(documents, tmp_path / CORPUS_NAME)
    corpus = read_corpus(tmp_path)
    assert sorted(corpus.train + corpus.held_out, key=lambda document: document.path) == sorted(
        documents, key=lambda document: document.path
    )
    assert all(is_held_out(document.path) for document in corpus.held_out)


def test_the_standard_library_has_a_licence_and_no_installed_packages():
    first = [file for file, _ in zip(standard_library(), range(200), strict=False)]
    assert {(file.package, file.licence) for file in first} == {(STANDARD_LIBRARY, "PSF-2.0")}
    assert not any("site-packages" in file.path for file in first)


def test_no_text_is_one_clear_line(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"no Python text to train on .* --corpus"):
        read_corpus(tmp_path)


def test_nothing_but_held_out_text_is_one_clear_line(tmp_path: Path):
    name = next(name for number in range(1000) if is_held_out(name := f"m{number}.py"))
    write(tmp_path, name, make_source(1).encode())
    with pytest.raises(TrainingError, match="held-out set"):
        read_corpus(tmp_path)
