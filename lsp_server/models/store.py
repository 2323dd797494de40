"""Our own store: one model folder for each model that was added, with a record of where it came from.

A model is made in a hidden folder beside the others and renamed into place when it is complete, so a partial model is
never seen. The next process that holds the lock removes what an interrupted one left.
"""

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from filelock import FileLock, Timeout

from engine import ExportError, ModelFolderError, RequestError, reason_of
from lsp_server.models.converting import PRECISIONS, Precision
from lsp_server.models.entries import Source
from lsp_server.models.fingerprint import Fingerprint
from lsp_server.models.found.folders import names_in
from lsp_server.models.names import check_new_name

RECORD = "midtoken-added.json"
_LOCK = ".lock"
_UNFINISHED = ".unfinished-"
_FORMAT = 1
_MOST_RECORD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an added model came from, and in which precision it was asked for.

    ``parameters``, ``quantization`` and ``licence`` are what the source said of itself.
    """

    source: Source
    name: str
    identity: str
    path: Path
    fingerprint: Fingerprint
    precision: Precision
    parameters: int = 0
    quantization: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Added:
    """A model in the store. ``origin`` is None for a folder that was put there by hand."""

    name: str
    folder: Path
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ModelStore:
    """The added models below ``folder``, which need not exist."""

    folder: Path

    def added(self) -> tuple[Added, ...]:
        """All that are whole, by name. Raises `ModelFolderError` if the folder cannot be read."""
        try:
            names = [name for name in names_in(self.folder) if not name.startswith(".")]
        except OSError as error:
            raise ModelFolderError(f"the added models at {self.folder} cannot be read ({reason_of(error)})") from None
        folders = [self.folder / name for name in names if (self.folder / name).is_dir()]
        return tuple(sorted((_added(folder) for folder in folders), key=lambda added: added.name.lower()))

    def find(self, name: str) -> Added | None:
        """The added model of that name."""
        return next((added for added in self.added() if added.name == name), None)

    def find_source(self, name: str) -> Added | None:
        """An added model whose source has that name in its own store."""
        return next((added for added in self.added() if added.origin is not None and added.origin.name == name), None)

    def put(self, name: str, origin: Origin, make: Callable[[Path], None]) -> Added:
        """Let ``make`` write a model folder, and add it; another of the same name is replaced then, not before.

        Raises `RequestError` for a name that cannot be, `ExportError` if another process is at work or the disk is
        full, and what ``make`` raises.
        """
        check_new_name(name)
        with self._locked() as _, self._workspace() as work:
            make(work / "model")
            made = work / "model"
            record = {"format": _FORMAT, "name": name, "origin": asdict(origin)}
            (made / RECORD).write_text(json.dumps(record, default=str, indent=2) + "\n", encoding="utf-8")
            place = self.folder / _folder_name(name)
            if place.exists():
                place.rename(work / "before")
            try:
                made.rename(place)
            except OSError:
                if (work / "before").exists():
                    (work / "before").rename(place)
                raise
        return Added(name, place, origin)

    def remove(self, name: str) -> Added:
        """Take a model out. Raises `RequestError` if there is none, `ExportError` if it cannot be deleted."""
        added = self.find(name)
        if added is None:
            raise RequestError(f"no added model is called {name!r}; 'midtoken models' lists them")
        with self._locked() as _, self._workspace() as work:
            added.folder.rename(work / "before")
        return added

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Only one process changes the store. The system releases the lock when a process ends, however it ends."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / _LOCK, timeout=0)
            lock.acquire()
        except Timeout as error:
            raise ExportError(
                f"another process is adding or removing a model in {self.folder}; try again when it is done"
            ) from error
        except OSError as error:
            raise ExportError(f"the store {self.folder} cannot be written ({reason_of(error)})") from None
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def _workspace(self) -> Iterator[Path]:
        for name in names_in(self.folder):
            if name.startswith(_UNFINISHED):
                shutil.rmtree(self.folder / name, ignore_errors=True)
        try:
            work = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder))
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
        except OSError as error:
            raise ExportError(
                f"the store {self.folder} cannot be written ({reason_of(error)}); make room there and try again"
            ) from None


def _folder_name(name: str) -> str:
    """A name that every file system takes; two models never have the same."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip(".-")[:80]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _added(folder: Path) -> Added:
    try:
        with (folder / RECORD).open("rb") as stream:
            raw = json.loads(stream.read(_MOST_RECORD_BYTES))
        return Added(str(raw["name"]), folder, _origin(raw["origin"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # A record that is missing or damaged takes nothing from the model: it is listed by the name of its folder.
        return Added(folder.name, folder)


def _origin(raw: Any) -> Origin:
    if raw["source"] not in get_args(Source) or raw["precision"] not in PRECISIONS:
        raise ValueError
    print_ = raw["fingerprint"]
    return Origin(
        source=raw["source"],
        name=str(raw["name"]),
        identity=str(raw["identity"]),
        path=Path(raw["path"]),
        fingerprint=Fingerprint(int(print_["bytes"]), int(print_["modified_ns"]), str(print_["digest"])),
        precision=raw["precision"],
        parameters=int(raw["parameters"]),
        quantization=str(raw["quantization"]),
        licence=str(raw["licence"]),
    )
