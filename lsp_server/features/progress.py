"""Work-done progress that the server begins. It is shown if the client supports it, and the user may cancel it."""

import asyncio
import uuid
from collections.abc import Callable

from lsprotocol import types

from lsp_server.language_server import MidtokenServer

CREATE_TIMEOUT_S = 2.0
"""If a client does not answer in this time, no progress is shown."""


class WorkDone:
    """One progress, to be used with ``async with``. ``on_cancel`` is called if the user cancels it."""

    def __init__(self, ls: MidtokenServer, title: str, on_cancel: Callable[[], object]) -> None:
        self._ls, self._title, self._on_cancel = ls, title, on_cancel
        self._token = f"midtoken-{uuid.uuid4()}"
        self._shown = False

    async def __aenter__(self) -> "WorkDone":
        if self._ls.state.client.progress:
            created = asyncio.ensure_future(self._ls.work_done_progress.create_async(self._token))
            created.add_done_callback(lambda task: task.cancelled() or task.exception())
            await asyncio.wait((created,), timeout=CREATE_TIMEOUT_S)
            self._shown = created.done() and created.exception() is None
        if self._shown:
            loop = asyncio.get_running_loop()
            # pygls cancels this future if the client asks for it.
            self._ls.work_done_progress.tokens[self._token].add_done_callback(
                lambda future: future.cancelled() and loop.call_soon_threadsafe(self._on_cancel)
            )
            begin = types.WorkDoneProgressBegin(title=self._title, cancellable=True, percentage=0)
            self._ls.work_done_progress.begin(self._token, begin)
        return self

    def report(self, share: float, doing: str) -> None:
        """Show the share done, 0 to 1, and the current step."""
        if self._shown:
            now = types.WorkDoneProgressReport(message=doing, percentage=min(100, int(share * 100)), cancellable=True)
            self._ls.work_done_progress.report(self._token, now)

    async def __aexit__(self, *_: object) -> None:
        self._ls.work_done_progress.tokens.pop(self._token, None)
        if self._shown:
            self._ls.work_done_progress.end(self._token, types.WorkDoneProgressEnd())
