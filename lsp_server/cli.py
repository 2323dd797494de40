"""``midtoken``: one program, one command a module. Exit status 0, 1 (failed) or 2 (wrong usage)."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from engine import MidtokenError, RequestError
from lsp_server.commands import bench, complete, export, inspect, serve

_COMMANDS = (complete, serve, inspect, export, bench)
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors that a user can cause end in one line on standard error."""
    args = build_parser().parse_args(argv)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except RequestError as error:
        return _fail(error, 2)
    except MidtokenError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left (`midtoken ... | head`). Nothing is wrong, and nothing can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; ``args.run`` is the function of the command that was named."""
    parser = argparse.ArgumentParser(
        prog="midtoken", description="Code completion that is right in the middle of a token."
    )
    parser.add_argument("--version", action="version", version=f"midtoken {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.register(commands)
    return parser


def _fail(error: MidtokenError, status: int) -> int:
    message = " ".join(str(error).split())
    print(f"midtoken: error: {message}", file=sys.stderr)
    return status


def _version() -> str:
    try:
        return version("midtoken")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
