"""The table of all models that can be used here, one row each, and how a name or a path of a user's finds its row."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from engine import BUNDLED_MODEL, MidtokenError, RequestError, describe_folder, reason_of
from lsp_server.models.describing import Describe
from lsp_server.models.entries import PLACES, Facts, Findings, Found, Kind, ModelEntry, State
from lsp_server.models.found.gguf_files import model_name
from lsp_server.models.names import BUNDLED, GGUF_ENDING, SMALL
from lsp_server.models.store import Added, ModelStore, Origin

_STATES = ("ready", "convertible", "unusable")


@dataclass(frozen=True, slots=True)
class Table:
    """The rows: bundled, added, found; ready ones before those to be converted. ``notes`` are lines for the user."""

    entries: tuple[ModelEntry, ...]
    notes: tuple[str, ...] = ()

    def find(self, name: str) -> ModelEntry | None:
        """The row of that name; the tag that Ollama takes where none is given may be left out."""
        by_name = {entry.name: entry for entry in self.entries}
        return by_name.get(name) or by_name.get(f"{name}:latest")


def make_table(store: ModelStore, findings: Findings, describe: Describe) -> Table:
    """Read what there is. Raises `ModelFolderError` if our own store cannot be read."""
    added = store.added()
    rows = [bundled_entry()]
    rows += [_added_entry(one, _state_of_source(one, findings)) for one in added]
    names = {SMALL, *(row.name for row in rows)}
    found = []
    for one in _without_added(_once(findings.found), added):
        facts = describe(one)
        name = _free_name(one, names)
        names.add(name)
        found.append(entry_of_found(one, facts, name))
    found.sort(key=lambda row: (_STATES.index(row.state), row.source, row.name.lower()))
    return Table((*rows, *found), findings.notes)


def bundled_entry() -> ModelEntry:
    """The row of the model that is part of the package."""
    return ModelEntry(BUNDLED, BUNDLED_MODEL, "bundled", _folder_facts(BUNDLED_MODEL), "ready", "knows Python")


def entry_of_found(found: Found, facts: Facts, name: str | None = None) -> ModelEntry:
    """The row of a found model."""
    state: State = "unusable" if facts.reason else "convertible"
    reason = facts.reason
    if not facts.reason:
        alone = "no tokens to fill in the middle: it completes from the text before the cursor alone"
        reason = "; ".join(filter(None, [alone if facts.fim is False else "", facts.warning]))
    return ModelEntry(name or found.name, found.path, found.source, facts, state, reason, found)


def added_entry(added: Added) -> ModelEntry:
    """The row of an added model, without a look at its source."""
    return _added_entry(added, "")


def found_at(path: Path) -> Found:
    """What a user named by its path. Raises `RequestError` if nothing is there."""
    try:
        real = path.expanduser().resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise RequestError(f"{path} cannot be read ({reason_of(error)}); give a GGUF file or a folder") from None
    if real.is_file():
        name = model_name(path if path.name.lower().endswith(GGUF_ENDING) else real)
        return Found(name, real, "gguf", "path", real.parent)
    kind: Kind = "onnx" if any(real.glob("*.onnx")) or any(real.glob("onnx/*.onnx")) else "checkpoint"
    return Found(real.name, real, kind, "path", real)


def _added_entry(added: Added, reason: str) -> ModelEntry:
    try:
        facts = _folder_facts(added.folder)
    except MidtokenError as error:
        return ModelEntry(added.name, added.folder, "added", Facts(reason=str(error)), "unusable", str(error))
    if added.origin is not None:
        facts = replace(
            facts,
            parameters=added.origin.parameters or facts.parameters,
            quantization=added.origin.quantization if added.origin.precision.startswith("keep") else facts.quantization,
            licence=facts.licence or added.origin.licence,
        )
    return ModelEntry(added.name, added.folder, "added", facts, "ready", reason)


def _folder_facts(folder: Path) -> Facts:
    facts = describe_folder(folder)
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return Facts(
        architecture=facts.architecture,
        parameters=facts.parameters,
        quantization=facts.precision,
        context=facts.context_length,
        fim=facts.fim,
        licence=facts.licence,
        bytes=size,
    )


def _state_of_source(added: Added, findings: Findings) -> str:
    """Whether the source of an added model is another one now, in words; empty if it is as it was, or gone: an
    added model does not need it any more.
    """
    origin = added.origin
    if origin is None:
        return ""
    now = next((one for one in findings.found if is_origin(one, origin)), None)
    path = origin.path if now is None else now.path
    try:
        same = origin.fingerprint.is_of(path.resolve())
    except OSError:  # the source is gone
        return ""
    again = f"'midtoken models add {added.name}' takes the new one"
    where = str(path) if origin.source == "path" else f"its source in {PLACES[origin.source]}"
    return "" if same else f"{where} has changed; {again}"


def is_origin(found: Found, origin: Origin) -> bool:
    """Whether a found model is the one, by its store and identity there, that an added one came from."""
    return not found.problem and (found.source, found.identity) == (origin.source, origin.identity)


def _without_added(found: Iterable[Found], added: tuple[Added, ...]) -> Iterator[Found]:
    """A model that was added has one row, that of our store."""
    origins = [one.origin for one in added if one.origin is not None]
    paths = {origin.path for origin in origins}
    for one in found:
        if one.path.resolve() not in paths and not any(is_origin(one, origin) for origin in origins):
            yield one


def _once(found: Iterable[Found]) -> Iterator[Found]:
    """Two names of one file, as where Ollama's tags share a blob, are two rows; two ways to one name are one."""
    seen = set()
    for one in found:
        key = (one.name, one.path.resolve())
        if key not in seen:
            seen.add(key)
            yield one


def _free_name(found: Found, taken: set[str]) -> str:
    """The name in its own store; where another has it, with the store's name before it."""
    name, number = found.name, 1
    while name in taken:
        name = f"{found.source}/{found.name}" + (f"-{number}" if number > 1 else "")
        number += 1
    return name
