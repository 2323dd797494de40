"""What git ignores, compared with git itself."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lsp_server.files.git_ignore import KEPT, GitIgnores

LISTS = {
    ".gitignore": "*.log\n!keep.log\nbuild/\n/top.py\nsub/*.tmp\na/**/z.py\n"
    "# c.py\n\\#d.py\n\nspace.py \nfoo?.py\n[ab]x.py\r\n",
    "sub/.gitignore": "*\n!.gitignore\n!wanted.py\n!deeper/\n",
    "sub/deeper/.gitignore": "!x.py\n/y.py\n",
    "build/.gitignore": "!rescued.py\n",
    "other/.gitignore": "!*.log\n!\n/\n**\n!inner\n",
    "vendor/.gitignore": "deep/**\n!deep/**/\n!deep/**/ours.py\nflat/*\n!flat/mine/\n*/\n!deep/\n!flat/\n",
    ".git/info/exclude": "secret*\nkeep.log\n",
}
FILES = (
    "a.py", "x.log", "keep.log", "build/a.py", "build/rescued.py", "src/build/x.py", "src/build.py", "top.py",
    "src/top.py", "sub/x.tmp", "sub/wanted.py", "sub/other.py", "sub/.gitignore", "sub/deeper/x.py",
    "sub/deeper/y.py", "sub/deeper/z.py",
    "a/z.py", "a/b/z.py", "a/b/c/z.py", "c.py", "#d.py", "space.py", "foo1.py", "foo.py", "ax.py", "cx.py",
    "vendor/deep/x.py", "vendor/deep/er/x.py", "vendor/deep/er/ours.py", "vendor/flat/x.py", "vendor/flat/mine/x.py",
    "vendor/top.py", "vendor/else/x.py",
    "other/a.log", "other/inner", "secret.py", "src/secrets/x.py", "é 1.py", "src/é.log",
)  # fmt: skip


def git(folder: Path, *arguments: str, text: str = "") -> str:
    quiet = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "XDG_CONFIG_HOME": "/none"}
    command = ["git", *arguments]
    # Status 1 of check-ignore means that nothing is ignored.
    done = subprocess.run(command, cwd=folder, env=quiet, input=text, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "my project"
    root.mkdir()
    git(root, "init", "--quiet")
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name, text in LISTS.items():
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_as_git_has_it(repository):
    ignores = GitIgnores()
    ours = {name for name in FILES if ignores.cover((repository / name).as_uri())}
    theirs = git(repository, "check-ignore", "--no-index", "-z", "--stdin", text="\0".join(FILES)).split("\0")
    assert ours == set(theirs) - {""}
    assert 8 < len(ours) < len(FILES)


def test_a_list_that_changes_counts_at_once(repository):
    ignores, uri = GitIgnores(), (repository / "src/new.py").as_uri()
    assert not ignores.cover(uri)
    (repository / "src/.gitignore").write_text("new.py\n")
    assert ignores.cover(uri)
    (repository / "src/.gitignore").write_text("# nothing any more\n")
    assert not ignores.cover(uri)
    (repository / ".gitignore").write_text("src\n")
    assert ignores.cover(uri)
    (repository / ".gitignore").unlink()
    assert not ignores.cover(uri)


def test_what_is_no_file_of_a_repository_is_not_ignored(tmp_path):
    (tmp_path / ".gitignore").write_text("*\n")
    ignores = GitIgnores()
    assert not ignores.cover((tmp_path / "a.py").as_uri())
    for uri in ("untitled:Untitled-1", "file:", "", "http://[", "file:///a%00b/c.py", f"ssh://host{tmp_path}/a.py"):
        assert not ignores.cover(uri)


def test_cells_of_a_notebook_are_as_its_file(repository):
    path = (repository / "build/a.ipynb").as_uri().removeprefix("file://")
    assert GitIgnores().cover(f"vscode-notebook-cell:{path}#W0sZmlsZQ%3D%3D")
    path = (repository / "src/a.ipynb").as_uri().removeprefix("file://")
    assert not GitIgnores().cover(f"vscode-notebook-cell:{path}#W0sZmlsZQ%3D%3D")


def test_links_lead_nowhere(repository, tmp_path):
    (tmp_path / "list").write_text("*\n")
    linked = repository / "src" / ".gitignore"
    linked.symlink_to(tmp_path / "list")
    assert not GitIgnores().cover((repository / "src/a.py").as_uri())
    exclude = repository / ".git/info/exclude"
    exclude.unlink()
    exclude.symlink_to(tmp_path / "list")
    assert not GitIgnores().cover((repository / "a.py").as_uri())
    (tmp_path / "info").mkdir()
    (tmp_path / "info" / "exclude").write_text("*\n")
    exclude.unlink()
    exclude.parent.rmdir()
    exclude.parent.symlink_to(tmp_path / "info")
    assert not GitIgnores().cover((repository / "a.py").as_uri())


def test_a_worktree_has_the_lists_that_lie_in_it(repository, tmp_path):
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "x")
    git(repository, "worktree", "add", "--quiet", str(tmp_path / "tree"))
    (tmp_path / "tree" / ".gitignore").write_text("ignored.py\n")
    assert GitIgnores().cover((tmp_path / "tree" / "ignored.py").as_uri())
    assert not GitIgnores().cover((tmp_path / "tree" / "secret.py").as_uri())  # the repository's own list, elsewhere


def test_a_list_that_cannot_be_read_says_nothing(repository, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    assert not GitIgnores().cover((repository / "x.log").as_uri())


@pytest.mark.parametrize(
    "text",
    [b"\xff\xfe\n" + b"#" * (2 << 20), b"a\n" * 60_000, b"a" * 5000, b"*a*a*a*a*a*a*a*ab\n" * 2000],
    ids=["bytes", "patterns", "a pattern", "work"],
)
def test_what_would_take_too_long_counts_as_ignored(repository, text, caplog):
    (repository / ".gitignore").write_bytes(text)
    began = time.monotonic()
    assert GitIgnores().cover((repository / f"{'a' * 200}.py").as_uri())
    assert time.monotonic() - began < 20
    assert "counts as ignored" in caplog.text


def test_a_path_that_no_file_can_have_counts_as_ignored(repository):
    assert GitIgnores().cover((repository / ("a/" * 4000)).as_uri())
    assert GitIgnores().cover(f"{repository.as_uri()}/\ud800.py")


names = st.text("ab.", min_size=1, max_size=5).filter(lambda name: name.strip("."))
pieces = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "/",
        "*",
        "**",
        "?",
        "[ab]",
        "[!a]",
        "[a-b]",
        "[^a",
        "[]a]",
        "[[:alpha:]]",
        "\\",
        "!",
        "#",
        " ",
        "é",
    ]
)
patterns = st.lists(pieces, min_size=1, max_size=7).map("".join)


@settings(max_examples=max(60, settings().max_examples // 4), deadline=None)
@given(
    st.lists(patterns, min_size=1, max_size=5),
    st.lists(
        st.lists(names | st.just("é"), min_size=1, max_size=4).map("/".join), min_size=20, max_size=40, unique=True
    ),
)
@example(["****/a[ab]", "***/b/***", "!/***/c"], ["a", "a/aa", "a/a/ab", "b", "a/b/c", "b/c", "c", "a/c"])
@example(
    ["a/**/b", "**/a", "a/**", "/a", "b/", "!a/b", "\\!a", "a\\ ", "a\\/b"],
    ["a", "a/b", "a/a/b", "b/a", "b", "!a", "a "],
)
def test_any_list_is_read_as_git_reads_it(tmp_path_factory, lines, paths):
    """None of the paths exists, so git treats all of them as files, except the parents of others. So do we."""
    root = tmp_path_factory.mktemp("repository")
    git(root, "init", "--quiet")
    (root / ".gitignore").write_text("\n".join(lines) + "\n", encoding="utf-8")
    theirs = git(root, "check-ignore", "--no-index", "-z", "--stdin", text="\0".join(paths)).split("\0")
    ignores = GitIgnores()
    assert {path for path in paths if ignores.cover((root / path).as_uri())} == {*theirs} - {""}


def test_answers_are_remembered_and_their_number_is_bounded(repository, monkeypatch):
    ignores, parsed = GitIgnores(), []
    uri = (repository / "src/a.py").as_uri()
    ignores.cover(uri)
    monkeypatch.setattr("lsp_server.files.git_ignore._parse", lambda path: parsed.append(path))
    for _ in range(3):
        ignores.cover(uri)
    assert parsed == []
    for number in range(KEPT + 10):
        ignores.cover((repository / f"src/{number}.py").as_uri())
    assert len(ignores._answers) == KEPT
