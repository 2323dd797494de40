"""The service under test, on a Ray of its own on this machine: the real ingress and router."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lsp_server.team import application
from lsp_server.team.config import ModelConfig, TeamConfig


def config_of(models: tuple[ModelConfig, ...]) -> TeamConfig:
    """A service without tokens and without limits for one client, on a free port of the loopback address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return TeamConfig(models, port=port)


@contextmanager
def serving(config: TeamConfig, replica: type, ray_folder: Path | None) -> Iterator[str]:
    """The address of the service, whose models run in ``replica``, until the context ends. Ray's files are in
    ``ray_folder``, where `silence.silence` has made one.
    """
    application.start(config, ray_folder, replica)
    try:
        yield f"http://{config.host}:{config.port}"
    finally:
        application.stop()
