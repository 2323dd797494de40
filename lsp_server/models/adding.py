"""Adding a model to our store: found, checked for room, converted beside the store and renamed into it."""

from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage

from engine import Cancelled, ExportError, RequestError, describe_folder, reason_of
from lsp_server.memory import available_bytes
from lsp_server.models.converting import IsCancelled, Precision, Progress
from lsp_server.models.entries import Facts, Found, Kind, ModelEntry
from lsp_server.models.fingerprint import Fingerprint, fingerprint
from lsp_server.models.found import find_models
from lsp_server.models.names import check_new_name
from lsp_server.models.registry import Registry
from lsp_server.models.store import Added, Origin
from lsp_server.models.table import entry_of_found, is_origin

SPARE_BYTES = 64 << 20
"""Room that is wanted beside what a model takes."""
MEMORY_SHARE = 1.5
"""Memory that a conversion takes at most, in sizes of its source."""
MANIFEST = "midtoken.json"
_COPY_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be added: the model, under which name and in which precision. ``before`` is what has that name now;
    where ``is_there`` is true it is the same already, and nothing is to be done.
    """

    entry: ModelEntry
    found: Found
    name: str
    precision: Precision
    fingerprint: Fingerprint
    before: Added | None = None

    @property
    def is_there(self) -> bool:
        origin = None if self.before is None else self.before.origin
        return (
            origin is not None
            and origin.precision == self.precision
            and (origin.fingerprint.bytes, origin.fingerprint.digest)
            == (self.fingerprint.bytes, self.fingerprint.digest)
        )


def plan(registry: Registry, model: str | Path, name: str | None = None, precision: Precision | None = None) -> Plan:
    """Look at what a user wants to add; changes nothing. ``precision`` None is that of before, else ``keep``.

    Raises `RequestError` for a name that nothing has or that is taken, `ExportError` for a model that cannot be used.
    """
    entry, found = _to_add(registry, model)
    if entry.state == "unusable":
        raise ExportError(f"{entry.name} cannot be used: {entry.reason}")
    if found.kind != "gguf" and (found.path / MANIFEST).exists():
        raise RequestError(f"{found.path} is a model folder already: --model {found.path} uses it as it is")
    real = found.path.resolve()
    try:
        now = fingerprint(real)
    except OSError as error:
        raise ExportError(f"{found.path} cannot be read ({reason_of(error)}); is it still there?") from None
    same = _added_from(registry, found, real)
    chosen = name or (entry.name if same is None else same.name)
    check_new_name(chosen)
    before = registry.store.find(chosen)
    if before is not None and name is None and before != same:
        raise RequestError(f"another added model is called {chosen!r}; give this one a name with --name")
    if precision is None:
        precision = "keep" if before is None or before.origin is None else before.origin.precision
    return Plan(entry, found, chosen, precision, now, before)


def add(
    registry: Registry, what: Plan, progress: Progress, cancelled: IsCancelled = lambda: False, *, force: bool = False
) -> Added:
    """Carry a plan out; at once where the model is there already.

    Raises `ExportError` if there is no room for it (not asked for with ``force``), the source changes meanwhile, or
    it cannot be converted; `Cancelled` once ``cancelled`` says so. What was there before stays then.
    """
    if what.is_there and what.before is not None:
        return what.before
    if not force:
        _require_room(registry.machine.store, what.entry.facts)
    source, facts = what.found.path.resolve(), what.entry.facts
    origin = Origin(
        source=what.found.source,
        name=what.found.name,
        identity=what.found.identity,
        path=source,
        fingerprint=what.fingerprint,
        precision=what.precision,
        parameters=facts.parameters,
        quantization=facts.quantization,
        licence=facts.licence,
    )

    def make(out: Path) -> None:
        if what.found.kind == "gguf":
            registry.converter.convert_gguf(source, out, what.precision, progress, cancelled)
        elif what.found.kind == "checkpoint":
            registry.converter.convert_checkpoint(source, out, what.precision, progress)
        else:
            _copy(what.found, out, progress, cancelled)
        try:
            unchanged = what.fingerprint.is_of(source)
        except OSError:  # gone, which is a change too
            unchanged = False
        if not unchanged:
            raise ExportError(f"{source} has changed while it was read; add it again when its download is finished")

    return registry.store.put(what.name, origin, make)


def _to_add(registry: Registry, model: str | Path) -> tuple[ModelEntry, Found]:
    """The row and the source; of a model that was added before, the source as it is now."""
    store = registry.store
    added = store.find(model) or store.find_source(model) if isinstance(model, str) else None
    if added is None:
        entry = registry.entry(model)
        if entry.found is None:
            raise RequestError(f"{entry.name!r} is ready as it is; there is nothing to add")
        return entry, entry.found
    if added.origin is None:
        raise RequestError(f"{added.name!r} was put into the store by hand; there is nothing to add")
    origin = added.origin
    now = [found for found in find_models(registry.machine).found if is_origin(found, origin)]
    found = now[0] if now else _last_seen(origin)
    return entry_of_found(found, registry.describe(found), added.name), found


def _last_seen(origin: Origin) -> Found:
    """The source where no store has it any more, or none ever had."""
    kind: Kind = "gguf"
    if origin.path.is_dir():
        kind = "onnx" if any(origin.path.glob("**/*.onnx")) else "checkpoint"
    root = origin.path if origin.path.is_dir() else origin.path.parent
    return Found(origin.name, origin.path, kind, origin.source, root, origin.licence, stays=origin.identity)


def _added_from(registry: Registry, found: Found, real: Path) -> Added | None:
    for added in registry.store.added():
        if added.origin is not None and (added.origin.path == real or is_origin(found, added.origin)):
            return added
    return None


def _require_room(store: Path, facts: Facts) -> None:
    place = next(folder for folder in (store, *store.parents) if folder.exists())
    free, wanted = disk_usage(place).free, facts.needed_bytes + SPARE_BYTES
    if free < wanted:
        raise ExportError(
            f"{place} has {free / 1e9:.1f} GB free and the model takes {wanted / 1e9:.1f} GB; make room there, "
            "or try all the same with --force"
        )
    memory, needed = available_bytes(), int(facts.bytes * MEMORY_SHARE)
    if memory is not None and memory < needed:
        raise ExportError(
            f"{memory / 1e9:.1f} GB of memory are free and converting takes up to {needed / 1e9:.1f} GB; close other "
            "programs, or try all the same with --force"
        )


def _copy(found: Found, out: Path, progress: Progress, cancelled: IsCancelled) -> None:
    """A graph of another exporter: its files are copied as real ones, because in the cache they are links."""
    names = describe_folder(found.path, found.root).files
    total = sum((found.path / name).stat().st_size for name in names) or 1
    done = 0
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        with (found.path / name).open("rb") as source, (out / name).open("wb") as target:
            while block := source.read(_COPY_BYTES):
                if cancelled():
                    raise Cancelled("the copy was cancelled")
                target.write(block)
                done += len(block)
                progress(min(done / total, 0.99), "copying")
