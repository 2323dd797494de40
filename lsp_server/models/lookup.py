"""The folder of a model that is named, or lies at a path."""

from pathlib import Path


def model_folder(model: Path | str | None) -> Path | None:
    """The folder that a name or a path stands for; None, the bundled model, stays None.

    Raises `RequestError` for a name that no model has, `ModelFolderError` for a model that is still to be added.
    """
    if model is None:
        return None
    from lsp_server.models.registry import this_registry  # who names no model need not wait for it

    return this_registry().folder(model)
