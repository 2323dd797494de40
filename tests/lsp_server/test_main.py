"""The order in which an installed Midtoken searches for modules."""

import os
from pathlib import Path

from lsp_server.__main__ import own_code_first

LIBRARY = str(Path(os.__file__).parent)
BINARY = str(Path(LIBRARY, "lib-dynload"))
SITE = str(Path("/venv/site-packages"))


def test_what_python_path_names_comes_last():
    path = ["/venv/bin", "/project", "/cluster/torch", LIBRARY, BINARY, SITE]
    assert own_code_first(path, SITE, os.pathsep.join(["/project", "/cluster/torch"])) == [
        *("/venv/bin", LIBRARY, BINARY, SITE),
        *("/project", "/cluster/torch"),
    ]


def test_a_relative_folder_of_python_path(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = ["/venv/bin", str(tmp_path), LIBRARY, SITE]
    assert own_code_first(path, SITE, ".") == ["/venv/bin", LIBRARY, SITE, str(tmp_path)]


def test_the_current_folder_goes(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for first in (str(tmp_path), ""):
        assert own_code_first([first, LIBRARY, SITE], SITE, "") == [LIBRARY, SITE]


def test_a_checkout_stays_where_it_is_found(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = str(tmp_path)
    assert own_code_first([ours, LIBRARY, SITE], ours, "") == [LIBRARY, ours, SITE]
    assert own_code_first(["/venv/bin", ours, LIBRARY, SITE], ours, ours) == ["/venv/bin", LIBRARY, ours, SITE]


def test_ours_comes_before_what_else_is_installed():
    older = str(Path("/home/me/site-packages"))
    assert own_code_first([LIBRARY, older, SITE], SITE, "") == [LIBRARY, SITE, older]


def test_without_a_standard_library_on_the_path_ours_is_first():
    assert own_code_first(["/frozen", SITE], SITE, "") == [SITE, "/frozen"]
