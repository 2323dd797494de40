"""Raw files: those of a folder and those of a wheel, with the statements there about their licence.

`archives.py` reads those of the archives of other registries.
"""

import email
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.errors import TrainingError
from onnx_export.train.corpus.languages import language_of
from onnx_export.train.corpus.licences import identify, package_licence
from onnx_export.train.corpus.packages import normalised_name

LICENCE_FILE = re.compile(r"(^|/)(LICEN[CS]E|COPYING)[^/]*$", re.IGNORECASE)
BINARIES = (".pyc", ".so")
INSTALLED = frozenset({"site-packages", "dist-packages"})
MOST_BYTES = 8 << 20  # a larger file is data
FONTS = re.compile(r"(^|/)(fonts|ttf)/")


@dataclass(frozen=True)
class RawFile:
    """Bytes of one source file. `licence` is that of its folder or package, as `licence_from` says, None if unknown."""

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


def is_licence_file(name: str) -> bool:
    """Whether a file of this name holds the text of a licence; `licenses.py` is code."""
    code = language_of(name) not in (None, "markdown") or name.endswith(BINARIES)
    return not code and LICENCE_FILE.search(name) is not None


def folder_licences(texts: Mapping[str, str]) -> Mapping[str, str | None]:
    """The licence of each folder that has a licence file of its own; `texts` are these files by path.

    Such a folder of a package holds somebody else's work.
    """
    return {str(PurePosixPath(name).parent): identify(text) for name, text in texts.items() if not FONTS.search(name)}


def licence_above(path: str, folders: Mapping[str, str | None]) -> str | None:
    """The licence of the innermost folder around a file that has one."""
    parents = [str(parent) for parent in PurePosixPath(path).parents]
    return next((folders[parent] for parent in parents if folders.get(parent)), None)


def wheel_files(wheel: Path) -> Iterator[RawFile]:
    """Every file of a known language of a wheel, by path. Errors: TrainingError if it is damaged."""
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
    licence_files = [name for name in names if is_licence_file(name)]
    own = [name for name in licence_files if ".dist-info/" in name]
    licence = package_licence(metadata, [_text(archive, name) for name in sorted(own, key=_depth)])
    inner_files = [name for name in licence_files if ".dist-info/" not in name]
    folders = folder_licences({name: _text(archive, name) for name in inner_files})
    package = normalised_name(str(metadata["Name"]))
    for name in names:
        if language_of(name) is None or ".dist-info/" in name or archive.getinfo(name).file_size > MOST_BYTES:
            continue
        inner = licence_above(name, folders)
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
