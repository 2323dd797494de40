"""Raw files of npm's archives and of Debian's source packages. Members are read in memory; nothing is unpacked."""

import json
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import TrainingError
from onnx_export.train.corpus.debian_copyright import read_copyright
from onnx_export.train.corpus.languages import language_of
from onnx_export.train.corpus.licences import identify
from onnx_export.train.corpus.sources import RawFile, folder_licences, is_licence_file, licence_above

MOST_MEMBER_BYTES = 8 << 20  # a larger file is data
MOST_BYTES = 1 << 30  # of all members that are read: more is no source package
Members = Mapping[str, bytes]  # by path below the archive's own first folder
LicenceOf = Callable[[str], tuple[str | None, str]]  # path to licence, and where it was read


def npm_files(archive: Path) -> Iterator[RawFile]:
    """Every file of a known language of an archive of `npm pack`, by path. Errors: TrainingError if it is damaged."""
    members = _read(archive, lambda name: _wanted(name) or name == "package.json")
    try:
        package = json.loads(members["package.json"])
        name, version = str(package["name"]), str(package["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(archive) from error
    root = _npm_licence(package) or _root_licence(members)
    yield from _raw(members, name, version, _by_folder(members, root))


def debian_files(folder: Path) -> Iterator[RawFile]:
    """Every file of a known language of the source package in `folder`: a `.dsc` file and its archives.

    Licences are those of `debian/copyright`. If it is not in the machine-readable format, they are those of folders and
    of the whole, as in a wheel. Errors: TrainingError if the package is damaged or not whole.
    """
    description, upstream, packaging = _parts(folder)
    members = _read(upstream, lambda name: _wanted(name) or name == "debian/copyright")
    if packaging is not None:
        members = {**members, **_read(packaging, lambda name: name == "copyright", outer=("debian",))}
    stated = members.get("debian/copyright", members.get("copyright", b"")).decode("utf-8", "replace")
    name, version = (_field(description, field, folder) for field in ("Source", "Version"))
    files = read_copyright(stated)
    root = _root_licence(members) or identify(stated)

    def licence_of(path: str) -> tuple[str | None, str]:
        assert files is not None
        return files.of(path), "debian/copyright"

    yield from _raw(members, name, version, _by_folder(members, root) if files is None else licence_of)


def _raw(members: Members, package: str, version: str, licence_of: LicenceOf) -> Iterator[RawFile]:
    for path in sorted(members):
        if language_of(path) is not None and not path.startswith("debian/"):
            licence, origin = licence_of(path)
            yield RawFile(f"{package}/{path}", members[path], package, version, licence, origin)


def _by_folder(members: Members, root: str | None) -> LicenceOf:
    texts = {name: members[name].decode("utf-8", "replace") for name in members if is_licence_file(name)}
    folders = folder_licences({name: text for name, text in texts.items() if "/" in name})

    def licence_of(path: str) -> tuple[str | None, str]:
        inner = licence_above(path, folders)
        return inner or root, "folder" if inner else "package"

    return licence_of


def _root_licence(members: Members) -> str | None:
    """What the licence files of the first folder say together, as far as their words are known."""
    names = [name for name in sorted(members) if "/" not in name and is_licence_file(name)]
    found = [identify(members[name].decode("utf-8", "replace")) for name in names]
    known = list(dict.fromkeys(licence for licence in found if licence))
    return " AND ".join(known) or None


def _npm_licence(package: Mapping[str, Any]) -> str | None:
    stated = package.get("license") or package.get("licenses")
    entries = stated if isinstance(stated, list) else [stated]
    names = [entry.get("type") if isinstance(entry, dict) else entry for entry in entries if entry]
    return " OR ".join(str(name) for name in names) or None


def _wanted(name: str) -> bool:
    return language_of(name) is not None or is_licence_file(name)


def _read(archive: Path, wanted: Callable[[str], bool], outer: tuple[str, ...] = ()) -> Members:
    """The regular files that are wanted, without the archive's first folder (any, or one of `outer`)."""
    members: dict[str, bytes] = {}
    total = 0
    try:
        with tarfile.open(archive, "r|*") as tar:
            for member in tar:
                first, _, path = member.name.removeprefix("./").partition("/")
                right = member.isreg() and member.size <= MOST_MEMBER_BYTES and path and (not outer or first in outer)
                if not right or not wanted(path):
                    continue
                total += member.size
                handle = tar.extractfile(member)
                if handle is None or total > MOST_BYTES:
                    raise TrainingError(f"{archive} holds more text than a source package: leave it out of --packages")
                members[path] = handle.read()
    except FileNotFoundError as error:
        raise TrainingError(f"cannot read {archive}: {error.strerror}") from error
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        raise _damaged(archive) from error
    return members


def _parts(folder: Path) -> tuple[str, Path, Path | None]:
    """The text of the .dsc file, the archive of the sources, and that of Debian's own files unless both are one."""
    names: Iterable[Path] = sorted(folder.glob("*")) if folder.is_dir() else ()
    archives = [path for path in names if re.search(r"\.tar\.(gz|xz|bz2)$", path.name)]
    upstream = next((path for path in archives if ".orig.tar." in path.name), None)
    packaging = next((path for path in archives if ".debian.tar." in path.name), None)
    native = next((path for path in archives if packaging is None and ".orig" not in path.name), None)
    description = next(iter(sorted(folder.glob("*.dsc"))), None)
    if description is None or (upstream or native) is None or (upstream is not None and packaging is None):
        raise TrainingError(f"{folder} is no whole Debian source package: delete it, then run again")
    chosen = upstream or native
    assert chosen is not None
    return description.read_text(encoding="utf-8", errors="replace"), chosen, packaging


def _field(description: str, name: str, folder: Path) -> str:
    match = re.search(rf"^{name}:[ \t]*(\S+)", description, re.MULTILINE)
    if match is None:
        raise TrainingError(f"{folder} is no whole Debian source package: delete it, then run again")
    return match[1]


def _damaged(archive: Path) -> TrainingError:
    return TrainingError(f"{archive} is damaged: delete it, then run again")
