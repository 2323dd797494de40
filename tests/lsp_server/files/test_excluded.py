from fnmatch import fnmatchcase
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp_server.files.excluded import ExcludePatterns, is_selected, path_of
from lsp_server.settings import Settings


def selected(uri: str, settings: Settings | None = None, language: str = "python") -> bool:
    settings = settings or Settings()
    return is_selected(language, settings) and not ExcludePatterns.of(settings.exclude).cover(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///home/me/.env",
        "untitled:.env",
        "file:///home/me/.ENV.local",
        "file:///c%3A/keys/server.pem",
        "file:///home/me/.ssh/id_rsa",
        "file:///home/me/.ssh/id_ecdsa",
        "file:///home/me/certificate.PFX",
        "file:///home/me/.git-credentials",
        "vscode-remote://ssh/home/me/.netrc",
    ],
)
def test_secrets_are_not_read(uri):
    assert not selected(uri)


@pytest.mark.parametrize(
    "uri", ["file:///a/environment.py", "untitled:Untitled-1", "file:///a/keys.py", "", "http://["]
)
def test_ordinary_documents_are(uri):
    assert selected(uri)


def test_patterns_without_a_slash_speak_of_the_name_and_others_of_the_path():
    assert not selected("file:///a/b.py", Settings(exclude=("*.py",)))
    assert not selected("file:///a/vendor/b.py", Settings(exclude=("vendor/*",)))
    assert not selected("file:///a/vendor/x/b.py", Settings(exclude=("/a/vendor/**",)))
    assert selected("file:///a/vendored/b.py", Settings(exclude=("vendor/*", "vendor")))


def test_languages_are_all_or_those_that_are_named():
    assert selected("file:///a.rs", Settings(languages=("rust",)), "rust")
    assert not selected("file:///a.py", Settings(languages=("rust",)), "python")


def test_paths_are_unquoted():
    assert path_of("file:///a%20b/c.py") == "/a b/c.py"
    assert path_of("untitled:Untitled-1") == "Untitled-1"


alphabet = "ab/*?[]!-."


@given(st.text(alphabet, max_size=8), st.text("ab/.-]", max_size=8))
def test_patterns_are_those_of_the_standard_library(pattern, path):
    slashed = "/" + path.lstrip("/")
    if "/" in pattern:
        expected = fnmatchcase(slashed, pattern) or fnmatchcase(slashed, f"*/{pattern.lstrip('/')}")
    else:
        expected = fnmatchcase(PurePosixPath(slashed).name, pattern)
    assert ExcludePatterns.of((pattern,)).cover(f"file://{slashed}") == expected


def test_no_pattern_takes_long():
    uri = f"file:///{'a' * 2000}.py"
    assert not ExcludePatterns.of(("*a" * 30 + "b",)).cover(uri)
    assert ExcludePatterns.of(("*" + "[a]" * 1000 + "b",)).cover(uri), "in doubt it is excluded"
