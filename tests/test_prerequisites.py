import collections
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tools import prerequisites

SCRIPT = Path(prerequisites.__file__)


@pytest.fixture(autouse=True)
def _complete_machine(monkeypatch, tmp_path):
    """A Linux machine with all that is needed, whatever this one has."""
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "python_implementation", lambda: "CPython")
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: {"CC": "gcc -pthread"}[name])
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name in ("gcc", "cc") else None)
    monkeypatch.delenv("CC", raising=False)


def test_nothing_is_said_where_nothing_is_missing(capsys):
    assert prerequisites.problems() == []
    assert prerequisites.main() == 0
    assert capsys.readouterr().err == ""


def test_a_missing_compiler_is_named_with_the_package_that_has_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (line,) = prerequisites.problems()
    assert "there is no gcc;" in line
    assert "apt install build-essential" in line


def test_the_compiler_is_the_one_that_python_was_built_with(monkeypatch):
    # Extensions are built with it and with no other, so that another one is of no use.
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: "x86_64-linux-gnu-gcc -pthread")
    (line,) = prerequisites.problems()
    assert "there is no x86_64-linux-gnu-gcc;" in line


@pytest.mark.parametrize(("command", "missing"), [("cc -O2", None), ("nowhere-cc", "nowhere-cc"), (" ", None)])
def test_cc_decides_where_it_says_anything(monkeypatch, command, missing):
    monkeypatch.setenv("CC", command)
    lines = prerequisites.problems()
    assert len(lines) == (missing is not None)
    if missing is not None:
        assert f"there is no {missing}; CC names it" in lines[0]


def test_missing_headers_are_said(monkeypatch, tmp_path):
    (tmp_path / "Python.h").unlink()
    (line,) = prerequisites.problems()
    assert "apt install python3-dev" in line


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


def test_macos_is_told_of_its_own_tools(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (tmp_path / "Python.h").unlink()
    lines = prerequisites.problems()
    assert len(lines) == 2
    assert all("xcode-select --install" in line for line in lines)


@pytest.mark.parametrize(("system", "implementation"), [("win32", "CPython"), ("linux", "PyPy")])
def test_no_compiler_is_asked_for_where_datrie_is_not_used(monkeypatch, tmp_path, system, implementation):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "python_implementation", lambda: implementation)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (tmp_path / "Python.h").unlink()
    assert prerequisites.problems() == []


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


def test_as_a_program_it_fails_with_lines_of_its_own():
    environment = {**os.environ, "CC": "no-such-compiler"}
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, env=environment, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert any("no-such-compiler" in line for line in lines)
    assert all(line.startswith("midtoken: ") for line in lines)
