"""``midtoken``: one program, one command a module. Exit status 0, 1 (failed) or 2 (wrong usage).

A command's module, and with it the engine, is imported only when the command is named, so ``midtoken --help`` is fast.
"""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from lsp_server.importing import lasting_imports

COMMANDS = {
    "complete": "complete a file at a position",
    "serve": "run the language server",
    "inspect": "show what a model folder holds and how a text is healed with it",
    "evaluate": "score the completions of many cases under each healing mode",
    "export": "turn a checkpoint into a model folder",
    "models": "list the models that can be used here",
    "team": "run the service of a team, on Ray Serve",
    "bench": "measure the claims on this machine",
}
"""Every command with its line in ``midtoken --help``; the module of the same name has its options."""
_INTERRUPTED = 130  # 128 + SIGINT, as shells expect it


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line. The usage is printed only by ``--help``."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"midtoken: error: {' '.join(message.split())}; see '{self.prog} --help'\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors that a user can cause end in one line on standard error."""
    _prepare_streams()
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        finally:
            if sys.stdout is not None:  # closed before we were started
                sys.stdout.flush()
    except SystemExit as end:  # raised by argparse after its help or its error
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        _say("midtoken: interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has ended (`midtoken ... | head`). That is not an error, and nothing can be printed.
        _discard_output()
        return 0
    except OSError as error:  # reading raises our own errors, so this is the output, such as a full disk
        _discard_output()
        return _fail(f"{error.filename or 'standard output'}: {error.strerror or error}", 1)


def build_parser(argv: Sequence[str]) -> Parser:
    """The command line with the options of the command that ``argv`` names; ``args.run`` is its function."""
    parser = Parser(
        prog="midtoken",
        description="Code completion that is right in the middle of a token.",
        epilog="example:\n  midtoken complete src/app.py:10:18\n\nThe options of a command: midtoken COMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    # No option before the command takes a value, so the first word is the command.
    named = next((word for word in argv if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.set_defaults(parser=command)
        if name == named:
            module = f"lsp_server.commands.{name}"
            with lasting_imports(module):
                importlib.import_module(module).register(command)
    return parser


def _run(argv: Sequence[str]) -> int:
    if "serve" in argv[:1]:
        # The server computes on the threads of its setting. numpy would start one for each core when it is imported.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    args, unknown = build_parser(argv).parse_known_args(argv)
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")  # argparse would name the other help
    from engine import MidtokenError, RequestError

    for note in getattr(args, "environment_notes", ()):
        print(f"midtoken: {note}", file=sys.stderr)
    try:
        status: int = args.run(args)
    except RequestError as error:
        return _fail(str(error), 2)
    except MidtokenError as error:
        return _fail(str(error), 1)
    return status


def _fail(message: str, status: int) -> int:
    _say(f"midtoken: error: {' '.join(message.split())}")
    return status


def _say(line: str) -> None:
    """Print a last line on standard error, over a progress bar that may be there."""
    print(f"\r\x1b[K{line}" if sys.stderr.isatty() else line, file=sys.stderr)


def _prepare_streams() -> None:
    """The output is inserted into documents, so print UTF-8 and do not translate line breaks, on every system."""
    for stream, newline in ((sys.stdout, ""), (sys.stderr, None)):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline=newline)


def _discard_output() -> None:
    """Discard what is still buffered. Otherwise the interpreter would report an error at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class _Version(argparse.Action):
    """Looks up the version only when it is asked for, because reading package metadata takes longer than starting."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("midtoken")
        except PackageNotFoundError:
            number = "(not installed)"
        print(f"midtoken {number}")
        parser.exit()
