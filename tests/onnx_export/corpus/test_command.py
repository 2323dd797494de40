import errno
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from engine.errors import TrainingError
from onnx_export.train.corpus import __main__ as command
from onnx_export.train.corpus import read_corpus
from onnx_export.train.corpus.packages import PACKAGES, Package
from onnx_export.train.corpus.sources import RawFile
from tests.onnx_export.corpus.archive_files import make_npm
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
    make_wheel(tmp_path, files, f"flask-{PACKAGES['flask'].version}-py3-none-any.whl")
    out = tmp_path / "out"
    assert command.main([str(out), "--downloads", str(tmp_path), "--packages", "flask"]) == 0
    corpus = read_corpus(out)
    found = {document.path: document.licence for document in corpus.train + corpus.held_out}
    assert found["m0.py"] == "PSF-2.0"
    assert found["flask/n0.py"] == "MIT"
    assert "some-package\tflask/short.py\tshort\n" in (out / "left_out.tsv").read_text(encoding="utf-8")
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in summary["packages"]}
    assert [row["name"] for row in summary["languages"]] == ["python"]
    assert summary["languages"][0]["reasons"] == {"short": 1}
    assert rows["some-package"]["licences"] == {"MIT": rows["some-package"]["files"]}
    assert "some-package" in capsys.readouterr().out


def test_without_packages(tmp_path: Path):
    assert command.main([str(tmp_path), "--packages"]) == 0
    assert {document.package for document in read_corpus(tmp_path).train} == {"python"}


def test_packages_that_cannot_be_had_are_told(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    def fetch(package: Package, folder: Path) -> Path:
        if package.name != "zod":
            raise TrainingError(f"cannot fetch {package.name}: no network")
        return make_npm(tmp_path / "zod.tgz", {"src/a.ts": "const a = 1;\n" * 40}, name="zod", license="MIT")

    monkeypatch.setattr(command, "fetch", fetch)
    assert command.main([str(tmp_path / "out"), "--packages", "flask", "zod"]) == 0
    assert "left out: cannot fetch flask: no network" in capsys.readouterr().out
    left_out = (tmp_path / "out" / "left_out.tsv").read_text(encoding="utf-8")
    assert left_out.startswith("flask\t\tnot fetched: cannot fetch flask: no network\n")
    assert {document.language for document in read_corpus(tmp_path / "out").train} == {"python", "typescript"}
    assert command.main([str(tmp_path / "none"), "--packages", "flask", "koa"]) == 1
    assert capsys.readouterr().err == "error: cannot fetch koa: no network\n"


def test_languages_are_weighted(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    files = {"src/a.ts": "const a = 1;\n" * 40, "b.md": "Some words here.\n" * 40, "c.css": ".a { b: c }\n" * 40}
    archive = make_npm(tmp_path / "zod-4.6.7.tgz", files, name="zod", license="MIT")
    monkeypatch.setattr(command, "fetch", lambda package, folder: archive)
    options = ["--packages", "zod", "--weights", "typescript=0.4", "markdown=0"]
    assert command.main([str(tmp_path / "out"), *options]) == 0
    weights = {document.path: document.weight for document in read_corpus(tmp_path / "out").train}
    assert (weights["zod/src/a.ts"], weights["zod/c.css"], "zod/b.md" in weights) == (0.8, 1.0, False)


@pytest.mark.parametrize("setting", ["cobol=1", "go", "go=much", "go=-1", "go=3", "go=nan"])
def test_what_is_no_weight_is_one_clear_line(tmp_path: Path, capsys, setting: str):
    assert command.main([str(tmp_path), "--packages", "--weights", setting]) == 1
    assert capsys.readouterr().err.startswith(f"error: {setting} is no weight: give LANGUAGE=FACTOR, one of python, ")


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
