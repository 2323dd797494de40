import pytest

from lsp_server.files.excluded import is_selected, path_of
from lsp_server.settings import Settings


def selected(uri: str, settings: Settings | None = None, language: str = "python") -> bool:
    return is_selected(uri, language, settings or Settings())


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
