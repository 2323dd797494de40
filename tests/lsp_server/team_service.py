"""A service in this process, served over a real socket."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from engine import CancellationToken, CompletionRequest, CompletionResult, ModelInfo
from lsp_server.scheduling.completer_like import CompleterLike
from lsp_server.team.config import TeamConfig, read_config
from lsp_server.team.ingress import Service, create_app
from lsp_server.team.local import LocalBackend
from lsp_server.team.metrics import Metrics
from lsp_server.team.replica import Replica
from lsp_server.team.tokens import Tokens
from tests.lsp_server.fakes import FakeCompleter

TOKEN = "a-token-of-the-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@contextlib.contextmanager
def listening(app: Any, http: Any = "auto") -> Iterator[str]:
    """The address of an application that listens on a loopback port until the context ends."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="none", http=http))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


class WithoutSessions:
    """A completer as a replica's engine. It does not keep documents apart."""

    def __init__(self, completer: CompleterLike) -> None:
        self._completer = completer

    @property
    def info(self) -> ModelInfo:
        return self._completer.info

    def complete(
        self,
        request: CompletionRequest,
        cancel: CancellationToken | None = None,
        on_text: Callable[[str], None] | None = None,
        *,
        document: str = "",
    ) -> CompletionResult:
        return self._completer.complete(request, cancel, on_text)


class Served:
    """A service, its backend, and a client of it."""

    def __init__(self, config: TeamConfig, engine: CompleterLike) -> None:
        self.config = config
        self.replicas = {model.name: Replica(model, WithoutSessions(engine)) for model in config.models}
        self.metrics = Metrics.create()
        self.tokens = Tokens(config.tokens)
        self.app = create_app(Service(config, LocalBackend(self.replicas), self.tokens, self.metrics))
        self.url = ""
        self.client = httpx.Client()

    def post(self, path: str, body: object) -> httpx.Response:
        return self.client.post(self.url + path, json=body, headers=HEADERS)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(self.url + path, headers=HEADERS)

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[..., Served]]:
    """Starts a service with a configuration and an engine."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with contextlib.ExitStack() as stack:

        def start(engine: CompleterLike | None = None, **config: object) -> Served:
            said = {
                "models": [{"name": "bundled"}],
                "tokens": [{"name": "alice", "file": str(file), "requests_per_second": 1000, "concurrent": 64}],
            }
            served = Served(read_config({**said, **config}), engine or FakeCompleter())
            served.url = stack.enter_context(listening(served.app))
            stack.enter_context(served.client)
            for replica in served.replicas.values():
                stack.callback(replica.close)
            return served

        yield start


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.005)
