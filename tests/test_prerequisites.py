import collections
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import prerequisites

SCRIPT = Path(prerequisites.__file__)


def test_nothing_is_said_where_nothing_is_missing(capsys):
    assert prerequisites.problems() == []
    assert prerequisites.main() == 0
    assert capsys.readouterr().err == ""


def test_missing_venv_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (line,) = prerequisites.problems()
    assert "apt install python3-venv" in line


def test_an_old_python_is_told_so(monkeypatch):
    version = collections.namedtuple("version", "major minor micro releaselevel serial")
    monkeypatch.setattr(sys, "version_info", version(3, 10, 2, "final", 0))
    monkeypatch.setattr(sys, "version", "3.10.2 (main)")
    (line,) = prerequisites.problems()
    assert "this is 3.10.2" in line


@pytest.mark.parametrize("version", ["v20.19.0", "v24.1.0"])
def test_node_is_new_enough(monkeypatch, version):
    _pretend_node(monkeypatch, version)
    assert prerequisites.node_problems() == []


@pytest.mark.parametrize(
    ("version", "told"),
    [("v18.20.4", "this is v18.20.4"), ("v20.18.9", "this is v20.18.9"), ("", "this is none that runs")],
)
def test_an_old_node_is_told_so(monkeypatch, version, told):
    _pretend_node(monkeypatch, version)
    (line,) = prerequisites.node_problems()
    assert told in line


@pytest.mark.parametrize("missing", ["node", "npm"])
def test_missing_node_is_said(monkeypatch, missing):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else f"/usr/bin/{name}")
    (line,) = prerequisites.node_problems()
    assert f"there is no {missing}; see https://nodejs.org" in line


def _pretend_node(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, stdout=f"{version}\n")
    )


def test_as_a_program_it_looks_for_node_where_that_is_asked_for():
    environment = {**os.environ, "PATH": ""}
    done = subprocess.run(
        [sys.executable, SCRIPT, "node"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "midtoken: Node.js 20.19 or later is needed for the VS Code extension, and there is no node; "
        "see https://nodejs.org\n"
    )
