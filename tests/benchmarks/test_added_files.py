"""Files that a repository got after a date, from a repository made here."""

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks import added_files

LONG = "x = 1\n" * 600
"""3,600 bytes."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two commits: one of 2024 with ``old.go``, one of August 2025 that adds the others and renames nothing."""
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "--quiet")
    commit(folder, "2024-05-01T12:00:00Z", {"old.go": LONG, "moved.go": LONG + "y"})
    (folder / "moved.go").rename(folder / "there.go")
    added = {"a/new.go": LONG + "z", "a/short.go": "x", "a/long.go": LONG * 20, "new.py": LONG, "a/new_test.go": LONG}
    commit(folder, "2025-08-01T12:00:00Z", added | {"old.go": LONG + "changed", "docs/b.go": LONG})
    return folder


def git(folder: Path, *arguments: str, date: str = "") -> None:
    who = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else {}
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, env=environment | who | dates)


def commit(folder: Path, date: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "x", date=date)


def written(out: Path) -> dict[str, int]:
    return {path.relative_to(out).as_posix(): path.stat().st_size for path in out.rglob("*") if path.is_file()}


def test_files_added_since_the_date_of_a_usual_size_that_are_code(repository: Path, tmp_path: Path):
    arguments = [str(repository), str(tmp_path / "out"), "--commit", "HEAD", "--language", "go", "--since"]
    assert added_files.main([*arguments, "2025-06-01"]) == 0
    assert written(tmp_path / "out") == {"a/new.go": 3601}


def test_all_files_of_a_folder(repository: Path, tmp_path: Path):
    arguments = [str(repository), str(tmp_path / "out"), "--commit", "HEAD", "--language", "go", "--whole", "a"]
    assert added_files.main(arguments) == 0
    assert sorted(written(tmp_path / "out")) == ["a/long.go", "a/new.go", "a/new_test.go", "a/short.go"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--commit", "HEAD", "--language", "go"], "give either --since DATE or --whole FOLDER"),
        (["--commit", "HEAD", "--language", "c", "--since", "2025-06-01"], "has no such files at HEAD"),
        (["--commit", "0000", "--language", "go", "--whole", "a"], "git cannot read"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
):
    assert added_files.main([str(repository), str(tmp_path / "out"), *arguments]) == 1
    message = capsys.readouterr().err
    assert says in message
    assert len(message.splitlines()) == 1
