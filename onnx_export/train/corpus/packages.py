"""The packages whose sources the bundled model may learn from. pip downloads them at fixed versions, as data.

Nothing in them is installed or run. bottle, peewee and trio are never read here, because the model is judged on them.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from engine.errors import TrainingError

PACKAGES: Mapping[str, str] = MappingProxyType(
    {
        "django": "5.2.19",
        "flask": "3.1.3",
        "requests": "2.34.2",
        "numpy": "2.4.6",
        "scipy": "1.17.1",
        "pandas": "3.1.1",
        "matplotlib": "3.11.2",
        "scikit-learn": "1.9.1",
        "sympy": "1.14.0",
        "networkx": "3.6.1",
        "pytest": "9.2.0",
        "sqlalchemy": "2.1.9",
        "fastapi": "0.165.0",
        "pydantic": "2.14.3",
        "httpx": "0.28.1",
        "aiohttp": "3.14.5",
        "tornado": "6.6.1",
        "rich": "15.0.0",
        "click": "8.5.1",
        "jinja2": "3.1.6",
        "werkzeug": "3.1.9",
        "torch": "2.13.0",
        "transformers": "5.23.0",
    }
)
EVALUATION_PACKAGES = frozenset({"bottle", "peewee", "trio"})

RunPip = Callable[[list[str]], subprocess.CompletedProcess[str]]


def choose(names: Iterable[str]) -> tuple[str, ...]:
    """Names of PACKAGES in their fixed order. Errors: TrainingError for a name that is not among them."""
    wanted = {normalised_name(name) for name in names}
    for name in sorted(wanted - PACKAGES.keys()):
        why = "kept for evaluation" if name in EVALUATION_PACKAGES else "not among the packages of the corpus"
        raise TrainingError(f"{name} is {why}: choose from {', '.join(PACKAGES)}")
    return tuple(name for name in PACKAGES if name in wanted)


def fetch(name: str, folder: Path, run_pip: RunPip | None = None) -> Path:
    """The wheel of a package of PACKAGES in `folder`; pip downloads it if it is not there yet.

    Errors: TrainingError, one line with pip's own reason, if it cannot be downloaded or written.
    """
    version = PACKAGES[name]
    found = _find(name, version, folder)
    if found is not None:
        return found
    partial = folder / f"{name}.partial"  # so that an interrupted download is never taken for a wheel
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        done = (run_pip or _run_pip)([*_DOWNLOAD, "--dest", str(partial), f"{name}=={version}"])
        wheel = _find(name, version, partial)
        if done.returncode != 0 or wheel is None:
            raise TrainingError(f"cannot fetch {name} {version} with pip: {_reason(done.stderr)}")
        return wheel.replace(folder / wheel.name)
    except OSError as error:
        raise TrainingError(f"cannot fetch {name} {version} into {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def normalised_name(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


_DOWNLOAD = ["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]


def _find(name: str, version: str, folder: Path) -> Path | None:
    for wheel in sorted(folder.glob("*.whl")):
        found_name, found_version = wheel.name.split("-")[:2]
        if normalised_name(found_name) == name and found_version.split("+")[0] == version:
            return wheel
    return None


def _run_pip(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False)


def _reason(stderr: str) -> str:
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.strip()]
    for line in errors:
        if "No space left" in line:
            return "the disk is full; make room, then run again"
    return errors[-1] if errors else "pip gave no wheel"
