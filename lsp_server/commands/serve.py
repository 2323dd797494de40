"""``midtoken serve``: the language server."""

import argparse
from pathlib import Path

from lsp_server.commands.options import add_model_options, set_example
from lsp_server.importing import lasting_imports
from lsp_server.remote.address import checked_url


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options. The server reads the environment itself, because for it the editor's settings come
    first.
    """
    set_example(
        parser,
        "midtoken serve",
        "midtoken serve --tcp 127.0.0.1:4000",
        "midtoken serve --remote https://team.example:8440 --token-file ~/.midtoken-token",
    )
    parser.add_argument(
        "--tcp",
        type=_address,
        metavar="HOST:PORT",
        help="listen on a loopback address (default: standard input and output)",
    )
    parser.add_argument(
        "--tcp-token-file",
        type=Path,
        metavar="FILE",
        help="the token that a client over TCP must show, in a file that only you can read (default: one is printed)",
    )
    parser.add_argument(
        "--remote",
        type=_remote,
        metavar="URL",
        help="ask the team's service at this address first; the local model answers where it does not",
    )
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="the token for --remote, in a file that only you can read"
    )
    add_model_options(parser)
    # None if it is not given: "auto" on the command line is a choice too, and comes before the environment.
    parser.set_defaults(run=run, device=None)


def run(args: argparse.Namespace) -> int:
    """Serve until the client leaves. The exit status is that of the protocol."""
    with lasting_imports("lsp_server.server"):
        from lsp_server.server import serve

    remote: dict[str, object] = {}
    if args.remote is not None:
        remote["remote_url"] = args.remote
    if args.token_file is not None:
        remote["remote_token_file"] = args.token_file.expanduser().resolve()
    return serve(model=args.model, device=args.device, tcp=args.tcp, token_file=args.tcp_token_file, remote=remote)


def _remote(text: str) -> str:
    try:
        return checked_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:4000")
    return host.removeprefix("[").removesuffix("]"), int(port)
