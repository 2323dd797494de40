"""Downloads packages with pip, `npm pack` and `apt-get source`, from where these tools are set up to look.

Everything is kept in one folder and downloaded once: wheels, archives of npm, and a folder for each Debian package.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.errors import TrainingError
from onnx_export.train.corpus.archives import debian_files, npm_files
from onnx_export.train.corpus.packages import Package, normalised_name
from onnx_export.train.corpus.sources import RawFile, wheel_files

Run = Callable[[list[str], Path], subprocess.CompletedProcess[str]]
"""Runs a command in a folder."""
APT_FOLDER = Path("/etc/apt")
_PIP = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]


def fetch(package: Package, folder: Path, run: Run | None = None, apt: Path = APT_FOLDER) -> Path:
    """The wheel, the archive or the folder of a package; it is downloaded if it is not in `folder` yet.

    Errors: TrainingError, one line with the tool's own reason, if it cannot be downloaded or written.
    """
    found = _find(package, folder)
    if found is not None:
        return found
    partial = folder / f"{_file_name(package)}.partial"  # an interrupted download is never taken for a whole one
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        done = _download(package, partial, folder / "debian-index", run or _run, apt)
        made = _find(package, partial)
        if done.returncode != 0 or made is None:
            raise TrainingError(f"{_cannot(package)} with {_tool(package)}: {_reason(package, done.stderr)}")
        return made.replace(folder / made.name)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) and error.filename in ("npm", "apt-get")
        reason = f"{error.filename} is not installed" if missing else error.strerror or error
        raise TrainingError(f"{_cannot(package)} into {folder}: {reason}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def package_files(package: Package, fetched: Path) -> Iterator[RawFile]:
    """The raw files of what `fetch` gave."""
    readers = {"pip": wheel_files, "npm": npm_files, "debian": debian_files}
    return readers[package.source](fetched)


def _download(package: Package, into: Path, index: Path, run: Run, apt: Path) -> subprocess.CompletedProcess[str]:
    if package.source == "pip":
        wheel = ["--only-binary=:all:", "--dest", str(into), f"{package.name}=={package.version}"]
        return run([*_PIP, *wheel], into)
    if package.source == "npm":
        return run(["npm", "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}"], into)
    options = _apt_options(index)
    if not (index / "lists").exists():
        shutil.rmtree(index, ignore_errors=True)
        _apt_index(index, apt)
        done = run(["apt-get", "--quiet", *options, "update"], index)
        if done.returncode != 0:
            shutil.rmtree(index, ignore_errors=True)
            return done
    own = into / _file_name(package)
    own.mkdir()
    return run(["apt-get", "--quiet", *options, "source", "--download-only", "--only-source", package.name], own)


def _apt_index(index: Path, apt: Path) -> None:
    """An index of sources beside the machine's own: its entries for packages, asked for sources instead.

    So neither root nor a change of the machine's settings is needed.
    """
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (index / name).mkdir(parents=True)
    for file in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))):
        if file.suffix in (".list", ".sources") and file.is_file():
            text = file.read_text(encoding="utf-8")
            if file.suffix == ".list":
                text = re.sub(r"^deb\s", "deb-src ", text, flags=re.MULTILINE)
            else:
                text = re.sub(r"^Types:.*$", "Types: deb-src", text, flags=re.MULTILINE)
            (index / "parts" / file.name).write_text(text, encoding="utf-8")


def _apt_options(index: Path) -> list[str]:
    places = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": index.absolute() / "parts",
        "Dir::State::lists": index.absolute() / "lists",
        "Dir::Cache": index.absolute() / "cache",
        "APT::Sandbox::User": "root",  # the folder may be one that apt's own user cannot read
    }
    return [part for name, value in places.items() for part in ("-o", f"{name}={value}")]


def _find(package: Package, folder: Path) -> Path | None:
    if package.source != "pip":
        path = folder / _file_name(package)
        return path if path.exists() else None
    for wheel in sorted(folder.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        if normalised_name(name) == normalised_name(package.name) and version.split("+")[0] == package.version:
            return wheel
    return None


def _file_name(package: Package) -> str:
    """The name of what is downloaded: as npm names its archives, and as the Debian package is called."""
    if package.source == "npm":
        return f"{package.name.removeprefix('@').replace('/', '-')}-{package.version}.tgz"
    return package.name if package.source == "pip" else f"{package.name}.debian"


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _cannot(package: Package) -> str:
    return f"cannot fetch {' '.join(filter(None, (package.name, package.version)))}"


def _tool(package: Package) -> str:
    return {"pip": "pip", "npm": "npm", "debian": "apt-get"}[package.source]


def _reason(package: Package, stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if any("No space left" in line for line in lines):
        return "the disk is full; make room, then run again"
    errors = [line for line in lines if re.match(r"ERROR:|E:|npm (ERR!|error)", line)] or lines
    last = re.sub(r"^(ERROR:|E:|npm (ERR!|error))\s*", "", errors[-1]) if errors else ""
    return last or f"{_tool(package)} gave no package"
