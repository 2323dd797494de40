"""The entry point of this package: the table of models on this machine, and the folder of a named model."""

from dataclasses import dataclass
from pathlib import Path

from engine import ModelFolderError, RequestError
from lsp_server.models.converting import Converter, InstalledConverter
from lsp_server.models.describing import Describe, describer
from lsp_server.models.entries import ModelEntry
from lsp_server.models.found import find_models
from lsp_server.models.machine import Machine, this_machine
from lsp_server.models.names import BUNDLED, GGUF_ENDING, SMALL
from lsp_server.models.store import ModelStore
from lsp_server.models.table import Table, added_entry, bundled_entry, entry_of_found, found_at, make_table


@dataclass(frozen=True, slots=True)
class Registry:
    """The models of a machine."""

    machine: Machine
    converter: Converter

    @property
    def store(self) -> ModelStore:
        """Our own store."""
        return ModelStore(self.machine.store)

    @property
    def describe(self) -> Describe:
        """How a found model is looked at."""
        return describer(self.converter)

    def table(self) -> Table:
        """What can be used now. Raises `ModelFolderError` if our own store cannot be read."""
        return make_table(self.store, find_models(self.machine), self.describe)

    def entry(self, model: str | Path) -> ModelEntry:
        """The table row of a name or a path. Raises `RequestError` if there is none."""
        if isinstance(model, Path):
            found = found_at(model)
            return entry_of_found(found, self.describe(found))
        if model == BUNDLED:
            return bundled_entry()
        if (added := self.store.find(model)) is not None:
            return added_entry(added)  # also one that an earlier version let be called as ours is now
        if model == SMALL:
            return bundled_entry()
        if (entry := self.table().find(model)) is not None:
            return entry
        if (added := self.store.find_source(model)) is not None:
            return added_entry(added)
        raise RequestError(f"no model is called {model[:200]!r}; 'midtoken models' lists them")

    def folder(self, model: str | Path) -> Path:
        """The model folder that a name of the table, or a path, stands for.

        Raises `RequestError` for a name that no model has, `ModelFolderError` for a model that is still to be added.
        """
        if isinstance(model, Path):
            return self._folder_at(model)
        entry = self.entry(model)
        if entry.state == "unusable":
            raise ModelFolderError(f"{entry.name} cannot be used: {entry.reason}")
        if entry.state == "convertible":
            raise ModelFolderError(f"{entry.name} is still to be added: midtoken models add {entry.name}")
        return entry.path

    def _folder_at(self, path: Path) -> Path:
        if not path.name.lower().endswith(GGUF_ENDING) or not path.is_file():
            return path  # the loader says what is wrong there
        source = path.resolve()
        made = [
            (added.origin.precision != "keep", added.folder)  # the file as it is, if it was added more than once
            for added in self.store.added()
            if added.origin is not None and added.origin.path == source
        ]
        if made:
            return min(made)[1]
        raise ModelFolderError(f"{path} is still to be added: midtoken models add {path}")


def this_registry() -> Registry:
    """The models of the machine that we run on."""
    return Registry(this_machine(), InstalledConverter())
