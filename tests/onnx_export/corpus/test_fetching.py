import subprocess
from pathlib import Path

import pytest

from engine.errors import TrainingError
from onnx_export.train.corpus.fetching import Run, fetch, package_files
from onnx_export.train.corpus.packages import PACKAGES, Package
from tests.onnx_export.corpus.archive_files import make_debian, make_npm

FLASK, TORCH = PACKAGES["flask"], PACKAGES["torch"]
SCOPED = Package("@scope/some", "1.2.3", "npm", "typescript")
DEBIAN = Package("some", "", "debian", "c")


def leaving(*names: str, code: int = 0, stderr: str = "") -> Run:
    """A tool that leaves these files in its folder."""

    def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        for name in names:
            (folder / name).write_bytes(b"content")
        return subprocess.CompletedProcess(command, code, "", stderr)

    return run


def never(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    raise AssertionError(command)


def test_a_wheel_is_fetched_once(tmp_path: Path):
    name = f"torch-{TORCH.version}+cpu-cp311-cp311-linux_x86_64.whl"
    assert fetch(TORCH, tmp_path, leaving(name)) == tmp_path / name
    assert fetch(TORCH, tmp_path, never) == tmp_path / name
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_another_version_is_not_taken(tmp_path: Path):
    (tmp_path / "flask-0.1-py3-none-any.whl").write_bytes(b"old")
    name = f"flask-{FLASK.version}-py3-none-any.whl"
    assert fetch(FLASK, tmp_path, leaving(name)) == tmp_path / name


def test_an_archive_of_npm_is_fetched_once_and_read(tmp_path: Path):
    commands = []

    def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        make_npm(folder / "scope-some-1.2.3.tgz", {"a.ts": "a"}, license="MIT")
        return subprocess.CompletedProcess(command, 0, "", "")

    path = fetch(SCOPED, tmp_path, run)
    assert fetch(SCOPED, tmp_path, never) == path == tmp_path / "scope-some-1.2.3.tgz"
    assert commands[0][:2] == ["npm", "pack"]
    assert "--ignore-scripts" in commands[0]
    assert commands[0][-1] == "@scope/some@1.2.3"
    assert [(file.path, file.licence) for file in package_files(SCOPED, path)] == [("@scope/some/a.ts", "MIT")]


def test_debian_is_asked_for_sources_where_the_machine_asks_for_packages(tmp_path: Path):
    apt, downloads, commands = tmp_path / "apt", tmp_path / "downloads", []
    (apt / "sources.list.d").mkdir(parents=True)
    (apt / "sources.list").write_text("# ours\ndeb [signed-by=/k] some:place stable main\n", encoding="utf-8")
    (apt / "sources.list.d" / "a.sources").write_text("Types: deb\nURIs: some:place\n", encoding="utf-8")
    (apt / "sources.list.d" / "b.save").write_text("deb old", encoding="utf-8")

    def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if "source" in command:
            folder.rmdir()
            make_debian(folder, {"a.c": "a"}, "Format: 1\n\nFiles: *\nLicense: MIT\n")
        return subprocess.CompletedProcess(command, 0, "", "")

    path = fetch(DEBIAN, downloads, run, apt)
    assert fetch(DEBIAN, downloads, never, apt) == path
    assert [(file.path, file.licence) for file in package_files(DEBIAN, path)] == [("some/a.c", "MIT")]
    parts = downloads / "debian-index" / "parts"
    texts = {file.name: file.read_text(encoding="utf-8") for file in parts.iterdir()}
    assert texts == {
        "sources.list": "# ours\ndeb-src [signed-by=/k] some:place stable main\n",
        "a.sources": "Types: deb-src\nURIs: some:place\n",
    }
    assert [command[-1] for command in commands] == ["update", "some"]
    assert f"Dir::Etc::sourceparts={parts.absolute()}" in commands[0]
    fetch(Package("other", "", "debian", "c"), downloads, run, apt)
    assert len(commands) == 3, "the index is read once"


def test_an_index_that_cannot_be_read_is_asked_for_again(tmp_path: Path):
    for _ in range(2):
        with pytest.raises(TrainingError, match=r"cannot fetch some with apt-get: no network"):
            fetch(DEBIAN, tmp_path, leaving(code=100, stderr="Reading\nE: no network\n"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("WARNING: x\nERROR: No matching distribution found for flask\n", "No matching distribution found for flask"),
        (
            "ERROR: Could not install: [Errno 28] No space left on device\n",
            "the disk is full; make room, then run again",
        ),
        ("", "pip gave no package"),
    ],
)
def test_what_cannot_be_fetched_is_one_clear_line(tmp_path: Path, stderr: str, reason: str):
    with pytest.raises(TrainingError) as caught:
        fetch(FLASK, tmp_path, leaving(code=1, stderr=stderr))
    assert str(caught.value) == f"cannot fetch flask {FLASK.version} with pip: {reason}"
    assert list(tmp_path.iterdir()) == []


def test_a_tool_that_is_not_installed_is_one_clear_line(tmp_path: Path):
    def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        raise FileNotFoundError(2, "No such file or directory", command[0])

    with pytest.raises(TrainingError, match=r"cannot fetch @scope/some 1\.2\.3 .*npm is not installed"):
        fetch(SCOPED, tmp_path, run)


def test_a_folder_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"cannot fetch flask .* into"):
        fetch(FLASK, tmp_path / "file", never)
