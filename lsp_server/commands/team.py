"""``midtoken team``: the service of a team, on Ray Serve."""

import argparse
import signal
import threading
from dataclasses import replace
from pathlib import Path

from engine import MidtokenError, RequestError
from lsp_server.commands.options import set_example
from lsp_server.logs import logging_to
from lsp_server.team.config import check_exposed, read_file
from lsp_server.team.tokens import Tokens

DEFAULT_FILE = Path("midtoken-team.yaml")


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
    config = read_file(args.config)
    given = {name: value for name in ("host", "port") if (value := getattr(args, name)) is not None}
    config = replace(config, **given)
    if not 0 < config.port < 65536:
        raise RequestError(f"port is {config.port}; it must be from 1 to 65535")
    check_exposed(config)
    Tokens(config.tokens).check()
    try:
        from lsp_server.team import application
    except ImportError:
        raise RequestError("the team's service is not installed; pip install 'midtoken[team]'") from None
    over = threading.Event()
    with logging_to():
        try:
            application.start(config)
            for number in (signal.SIGTERM, signal.SIGINT):  # now: Ray takes the first for itself as it starts
                signal.signal(number, lambda *_: over.set())
            scheme = "http" if config.certificate is None else "https"
            print(f"midtoken: the service listens on {scheme}://{config.host}:{config.port}", flush=True)
            over.wait()
        except RuntimeError:
            names = ", ".join(model.name for model in config.models)
            raise MidtokenError(
                f"the service did not start: a model ({names}) failed to load; see 'midtoken inspect --model NAME', and"
                " the logs of Ray"
            ) from None
        finally:
            application.stop()
    return 0
