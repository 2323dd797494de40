"""``midtoken/status``: what the server is doing, for a status bar."""

from dataclasses import dataclass
from typing import Literal

from engine import BUNDLED_MODEL
from lsp_server.models.names import BUNDLED
from lsp_server.scheduling.model import ModelHost
from lsp_server.scheduling.remote_model import REMOTE
from lsp_server.state import ServerState

METHOD = "midtoken/status"
State = Literal["loading", "ready", "busy", "off", "error"]


@dataclass(frozen=True, slots=True)
class Status:
    """One notification. ``message`` says what is wrong or special, ``model`` is the name of the model that serves,
    ``latency_ms`` is the median of recent answers.
    """

    state: State
    message: str | None = None
    model: str | None = None
    device: str | None = None
    latency_ms: float | None = None

    def to_json(self) -> dict[str, object]:
        """The fields by the names of ``docs/protocol.md``."""
        latency = None if self.latency_ms is None else round(self.latency_ms, 1)
        return {
            "state": self.state,
            "message": self.message,
            "model": self.model,
            "device": self.device,
            "latencyMs": latency,
        }


def status_of(server: ServerState) -> Status:
    """The status to report now. Off comes before loading, loading before an error, an error before work in progress."""
    model, info = server.model, server.model.info
    state: State
    if not server.enabled:
        state, message = "off", None
    elif model.state in ("absent", "loading"):
        state, message = "loading", None
    elif info is None or server.failure is not None:
        state, message = "error", server.failure or model.problem
    else:
        state, message = ("ready" if server.scheduler.idle else "busy"), model.notice
    device = None if info is None else info.device
    return Status(state, message, _name(model), device, server.statistics.median_ms)


def _name(host: ModelHost) -> str | None:
    """The name by which a user chooses the model that serves; for a folder that has none, what its files call it."""
    if host.info is None or host.info.device == REMOTE:
        return None if host.info is None else host.info.name
    if host.served is not None and isinstance(host.served.model, str):
        return host.served.model
    return BUNDLED if host.info.path == str(BUNDLED_MODEL) else host.info.name
