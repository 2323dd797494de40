"""``midtoken serve``: the language server."""

import argparse
from typing import Any

from lsp_server.commands.options import add_command, add_model_options


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "serve", "run the language server on standard input and output", "midtoken serve")
    parser.add_argument("--tcp", type=_address, metavar="HOST:PORT", help="listen on a loopback address instead")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until the client leaves; its exit status is that of the protocol."""
    from lsp_server.server import serve

    return serve(model=args.model, device=args.device, tcp=args.tcp)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:4000")
    return host.strip("[]"), int(port)
