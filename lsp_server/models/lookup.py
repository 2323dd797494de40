"""The folder of a model that is named, or lies at a path; and what it was made of."""

from pathlib import Path


def model_folder(model: Path | str | None) -> Path | None:
    """The folder that a name or a path stands for; None, the bundled model, stays None.

    Raises `RequestError` for a name that no model has, `ModelFolderError` for a model that is still to be added.
    """
    if model is None:
        return None
    from lsp_server.models.registry import this_registry  # who names no model need not wait for it

    return this_registry().folder(model)


def source_file(folder: Path) -> Path | None:
    """The file that a model folder of our store was made of, as its record names it; None for other folders."""
    from lsp_server.models.registry import this_registry

    for added in this_registry().store.added():
        if added.origin is not None and added.folder.resolve() == folder.resolve():
            return added.origin.path
    return None
