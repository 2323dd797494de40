"""The container of the team's service, as far as it can be checked without building containers."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import pytest
import yaml

from lsp_server.team.config import check_exposed, read_file

ROOT = Path(__file__).parents[1]
EXAMPLE = "docs/examples/midtoken-team.yaml"


def steps() -> list[list[str]]:
    """The words of each step of the Dockerfile."""
    text = re.sub(r"^#.*\n|\\\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [shlex.split(line) for line in text.splitlines() if line.strip()]


def copied() -> list[str]:
    """What the first stage takes of the repository."""
    return [source for step in steps() if step[0] == "COPY" and "--from=wheel" not in step for source in step[1:-1]]


def test_what_is_copied_is_there_and_nothing_else_is_sent_to_the_builder():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    assert sorted(copied()) == sorted(line[1:] for line in ignored if line.startswith("!"))
    assert all((ROOT / name).exists() for name in copied())


def test_the_wheel_is_built_of_what_is_copied(tmp_path: Path):
    for name in copied():
        if (ROOT / name).is_dir():
            copytree(ROOT / name, tmp_path / name, ignore=ignore_patterns("__pycache__"))
        else:
            copy(ROOT / name, tmp_path)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", tmp_path / "wheels", tmp_path], check=True)
    [wheel] = (tmp_path / "wheels").iterdir()
    assert re.fullmatch(r"midtoken-.*\.whl", wheel.name)


def test_the_program_does_not_run_as_root_and_its_stages_begin_with_the_same_python():
    names = [step[0] for step in steps()]
    assert names.index("USER") < names.index("ENTRYPOINT")
    [user] = [step[1] for step in steps() if step[0] == "USER"]
    [made] = [step for step in steps() if "useradd" in step]
    assert made[made.index("--uid") + 1] == user  # by number: see https://github.com/hadolint/hadolint/wiki/DL3066
    assert int(user) > 0
    assert [step[1] for step in steps() if step[0] == "FROM"] == ["python:${PYTHON}-slim"] * 2


def test_the_compose_file_gives_the_service_what_its_configuration_names(tmp_path: Path):
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    [service] = compose["services"].values()
    mounted = dict(volume.split(":")[:2] for volume in service["volumes"])
    [command] = [step for step in steps() if step[0] == "CMD"]
    assert mounted[f"./{EXAMPLE}"] in " ".join(command)
    config = read_file(ROOT / EXAMPLE)
    check_exposed(config)
    assert [str(token.file) for token in config.tokens] == [f"/run/secrets/{name}" for name in service["secrets"]]
    assert service["secrets"] == list(compose["secrets"])
    assert service["ports"] == [f"127.0.0.1:{config.port}:{config.port}"]


def test_the_health_check_asks_what_the_service_answers():
    [check] = [step for step in steps() if step[0] == "HEALTHCHECK"]
    code = check[-1].rstrip("]")
    assert "/healthz" in code
    compile(code, "HEALTHCHECK", "exec")


@pytest.mark.parametrize("extra", ["team", "cuda"])
def test_the_extras_that_can_be_asked_for_exist(extra: str):
    assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
