"""``midtoken/status``: what the server is doing, for a status bar."""

from dataclasses import dataclass
from typing import Literal

from lsp_server.state import ServerState

METHOD = "midtoken/status"
State = Literal["loading", "ready", "busy", "off", "error"]


@dataclass(frozen=True, slots=True)
class Status:
    """One notification; ``message`` says what is wrong or special, ``latency_ms`` is the median of recent answers."""

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
        state, message = ("ready" if server.scheduler.idle else "busy"), model.problem
    name, device = (info.name, info.device) if info else (None, None)
    return Status(state, message, name, device, server.statistics.median_ms)
