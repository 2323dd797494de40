"""Raw files: those of a folder and those of a wheel, with the statements there about their licence."""

import email
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.errors import TrainingError
from onnx_export.train.corpus.licences import identify, package_licence
from onnx_export.train.corpus.packages import normalised_name

LICENCE_FILE = re.compile(r"(^|/)(LICEN[CS]E|COPYING)[^/]*$", re.IGNORECASE)
CODE = (".py", ".pyc", ".js", ".css", ".html", ".so")
INSTALLED = frozenset({"site-packages", "dist-packages"})
FONTS = re.compile(r"(^|/)(fonts|static|ttf)/")


@dataclass(frozen=True)
class RawFile:
    """Bytes of one `*.py` file. `licence` is that of its folder or package, as `licence_from` says, None if unknown."""

    path: str
    content: bytes
    package: str
    version: str
    licence: str | None
    licence_from: str


def folder_files(folder: Path, package: str, version: str, licence: str) -> Iterator[RawFile]:
    """Every `*.py` below `folder` by path, except those of packages installed there.

    Unreadable files are left out; any installation has some.
    """
    for file in sorted(folder.rglob("*.py")):
        if INSTALLED.intersection(file.relative_to(folder).parts):
            continue
        try:
            content = file.read_bytes()
        except OSError:
            continue
        yield RawFile(file.relative_to(folder).as_posix(), content, package, version, licence, "package")


def wheel_files(wheel: Path) -> Iterator[RawFile]:
    """Every `*.py` of a wheel, by path. Errors: TrainingError if it is damaged or states no licence."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield from _archive_files(archive)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise TrainingError(f"{wheel} is damaged: delete it, then run again") from error
    except OSError as error:
        raise TrainingError(f"cannot read {wheel}: {error.strerror or error}") from error


def _archive_files(archive: zipfile.ZipFile) -> Iterator[RawFile]:
    names = sorted(name for name in archive.namelist() if not name.endswith("/"))
    metadata_name = next((name for name in names if name.endswith(".dist-info/METADATA")), None)
    if metadata_name is None:
        raise KeyError("METADATA")
    metadata = email.message_from_string(archive.read(metadata_name).decode("utf-8", "replace"))
    licence_files = [name for name in names if LICENCE_FILE.search(name) and not name.endswith(CODE)]
    own = [name for name in licence_files if ".dist-info/" in name]
    licence = package_licence(metadata, [_text(archive, name) for name in sorted(own, key=_depth)])
    # A folder of the package with a licence of its own holds somebody else's work.
    folders = {
        str(PurePosixPath(name).parent): identify(_text(archive, name))
        for name in licence_files
        if ".dist-info/" not in name and not FONTS.search(name)
    }
    package = normalised_name(str(metadata["Name"]))
    for name in names:
        if not name.endswith(".py"):
            continue
        parents = [str(parent) for parent in PurePosixPath(name).parents]
        inner = next((folders[parent] for parent in parents if folders.get(parent)), None)
        yield RawFile(
            name,
            archive.read(name),
            package,
            str(metadata["Version"]),
            inner or licence,
            "folder" if inner else "package",
        )


def _text(archive: zipfile.ZipFile, name: str) -> str:
    return archive.read(name).decode("utf-8", "replace")


def _depth(name: str) -> tuple[int, str]:
    return name.count("/"), name
