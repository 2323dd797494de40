"""The names of documents in their repositories."""

from pathlib import Path

import pytest

from engine import CompletionRequest
from lsp_server.completion.prompt import Place, build_request, code_at
from lsp_server.context.cross_file import Extra
from lsp_server.documents.documents import Document
from lsp_server.files.repositories import NamedFile, name_in, named_file
from lsp_server.settings import Settings


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    root = tmp_path / "demo"
    (root / ".git").mkdir(parents=True)
    (root / "src" / "deep").mkdir(parents=True)
    return root


def test_a_file_of_a_repository_is_named_from_its_folder(demo):
    assert named_file((demo / "src" / "deep" / "a b.py").as_uri()) == NamedFile("src/deep/a b.py", "demo", demo)
    assert named_file((demo / "a.py").as_uri()) == NamedFile("a.py", "demo", demo)


def test_outside_repositories_the_folder_names_the_file_too(tmp_path):
    assert named_file((tmp_path / "one" / "a.py").as_uri()) == NamedFile("one/a.py")


@pytest.mark.parametrize(
    ("uri", "path"),
    [("untitled:Untitled-1", "Untitled-1"), ("vscode-remote://host/home/x/a.py", "x/a.py"), ("file:///a.py", "a.py")],
)
def test_what_is_no_file_has_a_name_all_the_same(uri, path):
    assert named_file(uri) == NamedFile(path)


def test_files_of_elsewhere_are_not_named_from_the_repository(demo, tmp_path):
    assert name_in(demo, (demo / "src" / "a.py").as_uri()) == "src/a.py"
    assert name_in(demo, (tmp_path / "other" / "a.py").as_uri()) == "other/a.py"
    assert name_in(None, (demo / "src" / "a.py").as_uri()) == "src/a.py"


def test_a_request_says_where_its_document_lies(demo):
    made = Document.create((demo / "src" / "a.py").as_uri(), "python", 1, "x")
    code = code_at(made, Place(1, 1, ""))
    request = build_request(made, code, Settings(), Extra(), candidates=1, automatic=True, budget_ms=1.0)
    assert isinstance(request, CompletionRequest)
    assert (request.path, request.repository) == ("src/a.py", "demo")
