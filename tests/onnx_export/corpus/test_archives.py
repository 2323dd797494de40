import tarfile
from pathlib import Path
from typing import Any

import pytest

from engine.errors import TrainingError
from onnx_export.train.corpus import archives
from onnx_export.train.corpus.archives import debian_files, npm_files
from tests.onnx_export.corpus.archive_files import DSC, MIT, make_debian, make_npm, make_tar

STATED = """Format: copyright-format/1.0

Files: *
Copyright: some
License: Expat

Files: src/tool.c
Copyright: some
License: GPL-2+

License: Expat
 Permission is hereby granted, free of charge, to any person
"""


def found(files: Any) -> list[tuple[str, str | None, str]]:
    return [(file.path, file.licence, file.licence_from) for file in files]


def test_the_files_of_an_npm_archive_with_their_licences(tmp_path: Path):
    files = {
        "src/b.ts": "b",
        "README.md": "words",
        "data.bin": "",
        "inner/LICENSE": "GNU General Public License",
        "inner/deep/c.js": "c",
        "LICENSE": MIT,
    }
    archive = make_npm(tmp_path / "some-1.2.3.tgz", files, license="ISC")
    assert found(npm_files(archive)) == [
        ("@scope/some/README.md", "ISC", "package"),
        ("@scope/some/inner/deep/c.js", "not permissive", "folder"),
        ("@scope/some/src/b.ts", "ISC", "package"),
    ]
    assert {(file.package, file.version) for file in npm_files(archive)} == {("@scope/some", "1.2.3")}


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"license": "(MIT OR CC0-1.0)"}, "(MIT OR CC0-1.0)"),
        ({"license": {"type": "MIT"}}, "MIT"),
        ({"licenses": [{"type": "MIT"}, {"type": "GPL-2.0"}]}, "MIT OR GPL-2.0"),
        ({"license": "SEE LICENSE IN file"}, "SEE LICENSE IN file"),
        ({}, "MIT"),
    ],
)
def test_what_an_npm_package_says_about_its_licence(tmp_path: Path, fields: dict[str, Any], licence: str):
    archive = make_npm(tmp_path / "some.tgz", {"a.js": "a", "LICENSE.md": MIT}, **fields)
    assert {file.licence for file in npm_files(archive) if file.path.endswith(".js")} == {licence}


def test_a_debian_package_states_the_licence_of_each_file(tmp_path: Path):
    folder = make_debian(tmp_path / "some", {"src/a.c": "a", "src/tool.c": "b", "run.sh": "c", "x.bin": ""}, STATED)
    assert found(debian_files(folder)) == [
        ("some/run.sh", "MIT", "debian/copyright"),
        ("some/src/a.c", "MIT", "debian/copyright"),
        ("some/src/tool.c", "GPL-2+", "debian/copyright"),
    ]
    assert {(file.package, file.version) for file in debian_files(folder)} == {("some", "1:2.0-3")}


def test_a_debian_package_in_words_has_the_licences_of_its_folders(tmp_path: Path):
    files = {"a.go": "a", "inner/b.go": "b", "inner/COPYING": "GNU General Public License"}
    folder = make_debian(tmp_path / "some", files, f"It was packaged by somebody.\n\n{MIT}\n")
    assert found(debian_files(folder)) == [
        ("some/a.go", "MIT", "package"),
        ("some/inner/b.go", "not permissive", "folder"),
    ]


def test_a_native_package_is_one_archive(tmp_path: Path):
    (tmp_path / "some_2.dsc").write_text(DSC, encoding="utf-8")
    make_tar(tmp_path / "some_2.tar.xz", {"some/a.sh": "a", "some/debian/copyright": STATED, "some/debian/b.sh": "b"})
    assert found(debian_files(tmp_path)) == [("some/a.sh", "MIT", "debian/copyright")]


def test_links_and_large_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "MOST_MEMBER_BYTES", 100)
    archive = tmp_path / "some.tgz"
    make_npm(archive, {"a.js": "a", "b.js": "b" * 101})
    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        link = tarfile.TarInfo("package/c.js")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        with tarfile.open(archive) as other:
            for member in other:
                tar.addfile(member, other.extractfile(member))
    assert [file.path for file in npm_files(tmp_path / "links.tar")] == ["@scope/some/a.js"]


def test_an_archive_that_holds_too_much_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 100)
    with pytest.raises(TrainingError, match="holds more text than a source package: leave it out"):
        list(npm_files(make_npm(tmp_path / "some.tgz", {"a.js": "a" * 101})))


@pytest.mark.parametrize("damage", ["truncated", "not an archive", "no package.json", "no name"])
def test_a_damaged_archive_is_one_clear_line(tmp_path: Path, damage: str):
    archive = make_npm(tmp_path / "some.tgz", {"a.js": "a"})
    if damage == "truncated":
        archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    elif damage == "not an archive":
        archive.write_bytes(b"hello")
    elif damage == "no name":
        make_tar(archive, {"package/package.json": "[]"})
    else:
        make_tar(archive, {"package/a.js": "a"})
    with pytest.raises(TrainingError, match=r"some\.tgz is damaged: delete it, then run again"):
        list(npm_files(archive))


def test_what_is_not_there_is_one_clear_line(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"cannot read .*No such file"):
        list(npm_files(tmp_path / "none.tgz"))


@pytest.mark.parametrize("missing", ["*.dsc", "*.orig.tar.gz", "*.debian.tar.xz", "*"])
def test_half_a_debian_package_is_one_clear_line(tmp_path: Path, missing: str):
    folder = make_debian(tmp_path / "some", {"a.c": "a"}, STATED)
    for file in folder.glob(missing):
        file.unlink()
    with pytest.raises(TrainingError, match="is no whole Debian source package: delete it"):
        list(debian_files(folder))
