"""``midtoken team``: the service of a team, on Ray Serve."""

import argparse
import logging
import os
import queue
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine import MidtokenError, RequestError, probe_model
from lsp_server.commands.options import set_example
from lsp_server.logs import logging_to
from lsp_server.models.lookup import model_folder
from lsp_server.models.names import name_or_path
from lsp_server.team.config import TeamConfig, check_exposed, read_file
from lsp_server.team.silence import silence
from lsp_server.team.tokens import Tokens

log = logging.getLogger(__name__)

DEFAULT_FILE = Path("midtoken-team.yaml")
RELOAD = getattr(signal, "SIGHUP", None)
"""Windows has none."""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    set_example(parser, "midtoken team", "midtoken team --config /etc/midtoken-team.yaml --port 8440")
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_FILE, metavar="FILE", help=f"models and tokens (default: {DEFAULT_FILE})"
    )
    parser.add_argument("--host", help="address to listen on (default: the file's, else 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the file's, else 8440)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until the process is told to end; then finish what is under way."""
    folder = None
    source = Source(args.config, args.host, args.port, tries_models="RAY_ADDRESS" not in os.environ)
    config = source.read()
    try:
        folder = silence(os.environ)  # before Ray is imported
        try:
            from lsp_server.team import application
        except ImportError:
            raise RequestError("the team's service is not installed; pip install 'midtoken[team]'") from None
        with logging_to():
            try:
                application.start(config, None if folder is None else folder.ray)
                until_told(source, config, application.deploy)
            except RuntimeError:
                raise MidtokenError(f"the service did not start: {_MODELS_FAILED}") from None
            finally:
                application.stop()
    finally:
        if folder is not None:
            folder.remove()
    return 0


_MODELS_FAILED = "a model failed to load; see 'midtoken inspect --model NAME', and the logs of Ray"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from: a file, and the options that come before it.

    ``tries_models``: whether the models are on this machine, so that they can be tried before they are served.
    """

    file: Path
    host: str | None = None
    port: int | None = None
    tries_models: bool = True

    def read(self) -> TeamConfig:
        """The configuration as it is now, checked. Raises `MidtokenError`, in one line."""
        config = read_file(self.file)
        config = replace(
            config,
            host=config.host if self.host is None else self.host,
            port=config.port if self.port is None else self.port,
        )
        if not 0 < config.port < 65536:
            raise RequestError(f"port is {config.port}; it must be from 1 to 65535")
        check_exposed(config)
        Tokens(config.tokens).check()
        for model in config.models if self.tries_models else ():
            try:
                probe_model(model_folder(name_or_path(model.model)))
            except MidtokenError as error:
                raise RequestError(f"models: {model.name} cannot be served: {error}") from None
        return config


def until_told(source: Source, config: TeamConfig, deploy: Callable[[TeamConfig], None]) -> None:
    """Wait for a signal to end. A signal to read the file again (SIGHUP) replaces the replicas one after the other."""
    told: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, RELOAD):  # now: Ray takes the first for itself as it starts
        if number is not None:
            signal.signal(number, lambda number, _: told.put(number))
    scheme = "http" if config.certificate is None else "https"
    print(f"midtoken: the service listens on {scheme}://{config.host}:{config.port}", flush=True)
    while told.get() == RELOAD:
        config = updated(source, config, deploy)


def updated(source: Source, config: TeamConfig, deploy: Callable[[TeamConfig], None]) -> TeamConfig:
    """What is served after the file was read again: what it says now, or, if that cannot be, what was served before."""
    try:
        wanted = source.read()
    except MidtokenError as error:
        log.error("the file was not taken over, and the service goes on as before: %s", error)
        return config
    if _listens(wanted) != _listens(config):
        log.warning("host, port, certificate and key stay as they are until the service is started again")
    try:
        deploy(wanted)
    except RuntimeError:
        log.error("the file was not taken over, and the service goes back: %s", _MODELS_FAILED)
        deploy(config)
        return config
    print("midtoken: the service runs as the file says now", flush=True)
    return wanted


def _listens(config: TeamConfig) -> tuple[object, ...]:
    return config.host, config.port, config.certificate, config.key
