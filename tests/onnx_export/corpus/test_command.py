import errno
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from onnx_export.train.corpus import __main__ as command
from onnx_export.train.corpus import read_corpus
from onnx_export.train.corpus.packages import PACKAGES
from onnx_export.train.corpus.sources import RawFile
from tests.onnx_export.corpus.test_sources import METADATA, MIT, make_wheel
from tests.onnx_export.source_text import make_source


@pytest.fixture(autouse=True)
def small_standard_library(monkeypatch: pytest.MonkeyPatch):
    def files() -> Iterable[RawFile]:
        for number in range(3):
            yield RawFile(f"m{number}.py", make_source(number).encode(), "python", "3.11", "PSF-2.0", "package")

    monkeypatch.setattr(command, "standard_library", files)


def test_from_wheels_to_a_corpus(tmp_path: Path, capsys):
    files = {f"flask/n{number}.py": make_source(100 + number) for number in range(4)}
    files |= {"flask/short.py": "x = 1\n", "f.dist-info/METADATA": METADATA, "f.dist-info/LICENSE": MIT}
    make_wheel(tmp_path, files, f"flask-{PACKAGES['flask']}-py3-none-any.whl")
    out = tmp_path / "out"
    assert command.main([str(out), "--wheels", str(tmp_path), "--packages", "flask"]) == 0
    corpus = read_corpus(out)
    found = {document.path: document.licence for document in corpus.train + corpus.held_out}
    assert found["m0.py"] == "PSF-2.0"
    assert found["flask/n0.py"] == "MIT"
    assert "some-package\tflask/short.py\tshort\n" in (out / "left_out.tsv").read_text(encoding="utf-8")
    rows = {row["package"]: row for row in json.loads((out / "summary.json").read_text(encoding="utf-8"))}
    assert rows["some-package"]["licences"] == {"MIT": rows["some-package"]["files"]}
    assert "some-package" in capsys.readouterr().out


def test_without_packages(tmp_path: Path):
    assert command.main([str(tmp_path), "--packages"]) == 0
    assert {document.package for document in read_corpus(tmp_path).train} == {"python"}


@pytest.mark.parametrize("name", ["trio", "nonesuch"])
def test_other_packages_are_refused(tmp_path: Path, capsys, name: str):
    assert command.main([str(tmp_path), "--packages", name]) == 1
    assert capsys.readouterr().err.startswith(f"error: {name} is ")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_corpus(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    assert command.main([str(tmp_path), "--packages"]) == 0
    before = (tmp_path / "corpus.jsonl.gz").read_bytes()

    def fill(*arguments: object, **options: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("onnx_export.train.corpus.documents.json.dumps", fill)
    assert command.main([str(tmp_path), "--packages"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: cannot write ")
    assert error.count("\n") == 1
    assert "the disk is full" in error
    assert (tmp_path / "corpus.jsonl.gz").read_bytes() == before
