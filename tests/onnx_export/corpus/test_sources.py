import zipfile
from pathlib import Path

import pytest

from engine.errors import TrainingError
from onnx_export.train.corpus.sources import folder_files, wheel_files

MIT = "Permission is hereby granted, free of charge, to any person"
METADATA = "Metadata-Version: 2.4\nName: Some_Package\nVersion: 1.5\n"


def make_wheel(folder: Path, files: dict[str, str], name: str = "some_package-1.5-py3-none-any.whl") -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in files.items():
            archive.writestr(member, text)
    return path


def test_the_files_of_a_wheel_with_their_licences(tmp_path: Path):
    wheel = make_wheel(
        tmp_path,
        {
            "some/b.py": "b",
            "some/a.py": "a",
            "some/data.json": "{}",
            "some/page.html": "<p>",
            "some/inner/LICENSE": "GNU General Public License",
            "some/inner/deep/c.py": "c",
            "some/fonts/LICENSE_FONT": "GNU General Public License",
            "some/fonts/d.py": "d",
            "some/licenses.py": "e",
            "some-1.5.dist-info/METADATA": METADATA,
            "some-1.5.dist-info/licenses/LICENSE": MIT,
        },
    )
    files = list(wheel_files(wheel))
    assert {(file.package, file.version) for file in files} == {("some-package", "1.5")}
    assert [(file.path, file.content, file.licence, file.licence_from) for file in files] == [
        ("some/a.py", b"a", "MIT", "package"),
        ("some/b.py", b"b", "MIT", "package"),
        ("some/fonts/d.py", b"d", "MIT", "package"),
        ("some/inner/deep/c.py", b"c", "not permissive", "folder"),
        ("some/licenses.py", b"e", "MIT", "package"),
        ("some/page.html", b"<p>", "MIT", "package"),
    ]


def test_a_wheel_that_does_not_say_its_licence(tmp_path: Path):
    wheel = make_wheel(tmp_path, {"some/a.py": "a", "some-1.5.dist-info/METADATA": METADATA})
    (file,) = wheel_files(wheel)
    assert file.licence is None


@pytest.mark.parametrize("damage", ["truncated", "not a zip", "no metadata", "altered"])
def test_a_damaged_wheel_is_one_clear_line(tmp_path: Path, damage: str):
    wheel = make_wheel(tmp_path, {"some/a.py": "a" * 500, "some-1.5.dist-info/METADATA": METADATA})
    content = wheel.read_bytes()
    if damage == "no metadata":
        make_wheel(tmp_path, {"some/a.py": "a"})
    else:
        altered = content.replace(b"a" * 500, b"b" * 500)
        wheel.write_bytes({"truncated": content[:-40], "not a zip": b"hello", "altered": altered}[damage])
    with pytest.raises(TrainingError, match=r"is damaged: delete it, then run again"):
        list(wheel_files(wheel))


def test_a_wheel_that_is_not_there(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"cannot read .*No such file"):
        list(wheel_files(tmp_path / "none.whl"))


def test_the_files_of_a_folder(tmp_path: Path):
    for path in ("b.py", "a/c.py", "a/d.txt", "site-packages/x.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path, encoding="utf-8")
    files = list(folder_files(tmp_path, "python", "3", "PSF-2.0"))
    assert [(file.path, file.content, file.licence) for file in files] == [
        ("a/c.py", b"a/c.py", "PSF-2.0"),
        ("b.py", b"b.py", "PSF-2.0"),
    ]
