"""The wheel: what it installs, and that it runs its own code in a project that has packages of the same names."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("engine", "lsp_server", "onnx_export", "benchmarks")
NEWEST_OLD_SETUPTOOLS = 76
THEIRS = "the project's own code was run"
WITHOUT_PYTHON_PATH = ("engine", "lsp_server", "onnx_export", "benchmarks", "numpy", "tokenizers")
# A console script begins with an import of `lsp_server`, for which Python searches PYTHONPATH before us.
WITH_PYTHON_PATH = ("engine", "onnx_export", "benchmarks", "numpy", "tokenizers")

pytestmark = pytest.mark.skipif(
    int(version("setuptools").partition(".")[0]) <= NEWEST_OLD_SETUPTOOLS,
    reason="a wheel is built by setuptools 77 or later; install the extra 'dev' anew",
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that nothing of an earlier build gets in."""
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(sources: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    command = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(sources / "dist"), str(sources)]
    subprocess.run(command, check=True, capture_output=True, env=_clean())
    [built] = (sources / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program folder of a new environment that has the wheel and shares the dependencies of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name != "nt")
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(programs / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, env=_clean())
    [site] = folder.glob("**/site-packages")
    # A folder that is named here is searched, but the finder of an editable install, which lies in it, is not started.
    (site / "dependencies.pth").write_text(f"{Path(np.__file__).parents[1]}\n", encoding="utf-8")
    return programs


def _clean() -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MIDTOKEN_", "PYTHON", "PIP_"))}
    return {**ours, "PYTHONDONTWRITEBYTECODE": "1"}


def _project(folder: Path, names: Sequence[str]) -> Path:
    """A project whose packages end the program when one of them is imported."""
    for name in names:
        (folder / name).mkdir()
        for module in ("__init__", "__main__"):
            (folder / name / f"{module}.py").write_text(f"raise SystemExit({THEIRS!r})\n", encoding="utf-8")
    (folder / "app.py").write_text("import os\n\nif not os.pa", encoding="utf-8")
    return folder


def _run(command: Sequence[object], folder: Path, environment: Mapping[str, str], text: bytes = b"") -> bytes:
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env={**_clean(), **environment}, input=text, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_only_three_packages_are_installed(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"engine", "lsp_server", "onnx_export"}


def test_licence_notices_and_model_card_travel_with_it(wheel: Path, sources: Path, tmp_path: Path):
    build = f"from setuptools.build_meta import build_sdist; build_sdist({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=sources, check=True, capture_output=True, env=_clean())
    [sdist] = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "NOTICE", "engine/bundled/MODEL_CARD.md"} <= in_sdist
    with zipfile.ZipFile(wheel) as archive:
        [folder] = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        for name, packed in (
            ("LICENSE", f"{folder}/licenses/LICENSE"),
            ("NOTICE", f"{folder}/licenses/NOTICE"),
            ("engine/bundled/MODEL_CARD.md", "engine/bundled/MODEL_CARD.md"),
        ):
            assert archive.read(packed) == (ROOT / name).read_bytes()
        metadata = archive.read(f"{folder}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata


def test_the_notices_name_what_their_packages_ask_for():
    """Of the packages of the training text, Requests alone has a notice file (Apache licence, 4 d)."""
    notice = " ".join((ROOT / "NOTICE").read_text(encoding="utf-8").split())
    card = (ROOT / "engine/bundled/MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| requests " in card
    assert "Requests. Copyright 2019 Kenneth Reitz" in notice
    assert "distributed under Apache-2.0" in card
    for file in re.findall(r"\b(?:engine|lsp_server)/[\w./]*\w", notice):
        assert (ROOT / file).exists(), file


def test_every_module_of_the_sources_is_in_it(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    modules = {path.relative_to(ROOT).as_posix() for name in SOURCES for path in (ROOT / name).rglob("*.py")}
    moved = {re.sub("^benchmarks/", "lsp_server/bench_sources/benchmarks/", module) for module in modules}
    assert moved - packed == set()


STARTS: Mapping[str, tuple[list[str], str | dict[str, str], Sequence[str]]] = {
    "the program": (["midtoken"], {}, WITHOUT_PYTHON_PATH),
    "the program, with PYTHONPATH=.": (["midtoken"], {"PYTHONPATH": "."}, WITH_PYTHON_PATH),
    "python -m": (["python", "-m", "lsp_server"], {}, WITH_PYTHON_PATH),
    "python -P -m": (["python", "-P", "-m", "lsp_server"], {}, WITHOUT_PYTHON_PATH),
    "python -m, with PYTHONPATH=.": (["python", "-m", "lsp_server"], {"PYTHONPATH": "."}, WITH_PYTHON_PATH),
    "as Neovim does, with PYTHONPATH=.": (["midtoken"], "nvim", WITHOUT_PYTHON_PATH),
    "as VS Code does, with PYTHONPATH=.": (["python", "-m", "lsp_server"], "vscode", WITHOUT_PYTHON_PATH),
}


def _editor_environment(editor: str) -> dict[str, str]:
    """The environment as the plugin changes it, starting with PYTHONPATH=.; a removed variable is empty here."""
    file, pattern = {
        "nvim": ("nvim-client/lsp/midtoken.lua", r"(PYTHON\w+) = '(\w*)'"),
        "vscode": ("vscode-client/src/run.ts", r'(PYTHON\w+): (?:"(\w*)"|undefined)'),
    }[editor]
    found = re.findall(pattern, (ROOT / file).read_text(encoding="utf-8"))
    assert {name for name, _ in found} == {"PYTHONPATH", "PYTHONSAFEPATH"}
    return {"PYTHONPATH": ".", **dict(found)}


@pytest.fixture(params=STARTS, ids=str)
def start(request: pytest.FixtureRequest, programs: Path, tmp_path: Path) -> tuple[list[object], dict[str, str]]:
    """A command, and the environment for it, in the project at `tmp_path`."""
    (program, *arguments), environment, names = STARTS[request.param]
    _project(tmp_path, names)
    variables = _editor_environment(environment) if isinstance(environment, str) else environment
    return [programs / program, *arguments], variables


def test_the_command_line_runs_its_own_code(start, tmp_path: Path):
    command, environment = start
    found = json.loads(_run([*command, "complete", "app.py:3:13", "--json"], tmp_path, environment))
    assert found["completions"][0]["text"].startswith("th")


def test_the_server_runs_its_own_code(start, tmp_path: Path):
    command, environment = start
    messages: list[dict[str, object]] = [
        {"id": 1, "method": "initialize", "params": {"processId": None, "rootUri": None, "capabilities": {}}},
        {"method": "initialized", "params": {}},
        {"id": 2, "method": "shutdown"},
        {"method": "exit"},
    ]
    bodies = [json.dumps({"jsonrpc": "2.0", **message}).encode() for message in messages]
    text = b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies)
    answers = _run([*command, "serve"], tmp_path, environment, text)
    assert b'"midtoken"' in answers
    assert b'"id":2' in answers.replace(b" ", b"")


def test_the_project_does_hide_packages(programs: Path, tmp_path: Path):
    """Without our order of the search path: what the tests above would see if it had no effect."""
    _project(tmp_path, WITH_PYTHON_PATH)
    command = [programs / "python", "-c", "import engine"]
    done = subprocess.run([*map(str, command)], cwd=tmp_path, env=_clean(), capture_output=True, text=True)
    assert THEIRS in done.stderr


def test_bench_works_from_a_wheel(programs: Path, tmp_path: Path):
    _project(tmp_path, WITH_PYTHON_PATH)
    command = [programs / "midtoken", "bench", "decode", "--repetitions", "1", "--json"]
    [report] = json.loads(_run(command, tmp_path, {"PYTHONPATH": "."}))["benchmarks"]
    assert report["name"] == "decode"


def test_replay_starts_its_server_from_a_wheel(programs: Path, tmp_path: Path):
    _project(tmp_path, WITH_PYTHON_PATH)
    (tmp_path / "typed.py").write_text("import os\n\n\ndef here():\n    return os.getcwd()\n" * 9, encoding="utf-8")
    command = [programs / "midtoken", "bench", "replay", "--files", "typed.py", "--characters", "20", "--speed", "9"]
    [report] = json.loads(_run([*command, "--json"], tmp_path, {"PYTHONPATH": "."}))["benchmarks"]
    assert report["name"] == "replay"


def test_export_is_found_in_the_wheel(programs: Path, tmp_path: Path):
    _project(tmp_path, WITH_PYTHON_PATH)
    command = [programs / "midtoken", "export", "no-checkpoint", "out"]
    done = subprocess.run(
        [*map(str, command)], cwd=tmp_path, env={**_clean(), "PYTHONPATH": "."}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("midtoken: error: ")
    assert THEIRS not in done.stderr
