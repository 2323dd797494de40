"""Commands about the models on this machine: list them, and add one. The setting ``model`` takes a name."""

import asyncio
import logging
from dataclasses import asdict

from engine import MidtokenError
from lsp_server.features.configuration import load_model
from lsp_server.features.progress import WorkDone
from lsp_server.language_server import MidtokenServer
from lsp_server.logs import describe
from lsp_server.models.background import Outcome, add_in_process
from lsp_server.models.names import is_name, looks_like_path

log = logging.getLogger(__name__)

LIST = "midtoken.server.listModels"
ADD = "midtoken.server.addModel"
NO_MODEL = "the argument must be a name of the list, or the path of a file or folder"


async def list_models(ls: MidtokenServer, *arguments: object) -> dict[str, object]:
    """The table as ``midtoken models --json`` prints it, and the value of the setting. The event loop is not
    blocked.
    """
    setting = ls.state.settings.model
    try:
        entries = await asyncio.to_thread(ls.state.local_models.entries)
    except MidtokenError as error:
        return {"models": [], "setting": setting and str(setting), "problem": str(error)}
    except Exception as error:  # what lies on a disk must not end a command
        log.error("the models cannot be listed: %s", describe(error))
        return {"models": [], "setting": setting and str(setting), "problem": "the models cannot be listed"}
    return {"models": [entry.to_json() for entry in entries], "setting": setting and str(setting), "problem": None}


async def add_model(ls: MidtokenServer, *arguments: object) -> dict[str, object]:
    """Add the model that the argument names, in a process of its own; the user sees its progress and can cancel it.

    If the setting already names that model, it is loaded.
    """
    model = arguments[0] if arguments else None
    if not isinstance(model, str) or not (is_name(model) or looks_like_path(model)):
        return asdict(Outcome("failed", "", problem=NO_MODEL))
    adding: asyncio.Task[Outcome] | None = None

    def cancel() -> None:
        if adding is not None:
            adding.cancel()

    async with WorkDone(ls, f"Midtoken: adding {model}", cancel) as progress:
        adding = asyncio.ensure_future(add_in_process(ls.state.local_models.worker, model, progress.report))
        try:
            await asyncio.wait((adding,))
        finally:
            adding.cancel()
            await asyncio.wait((adding,))  # for the process to end
    outcome = Outcome("cancelled", model) if adding.cancelled() else adding.result()
    log.info("adding a model: %s", outcome.state)
    if outcome.state == "added" and ls.state.settings.model == outcome.name:
        ls.state.model.forget()
        ls.start(load_model(ls), "the model that was added could not be loaded", tells=True)
    return asdict(outcome)
