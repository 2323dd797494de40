"""``midtoken complete``: one completion of a file, for people and for scripts."""

import argparse
import json
import os
import re
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from engine import CompletionRequest, CompletionResult, DocumentError, RequestError
from lsp_server.code.file_names import language_of
from lsp_server.code.known_names import Expected
from lsp_server.code.scanner import scan
from lsp_server.code.syntax import syntax_of
from lsp_server.commands.options import (
    add_completion_options,
    add_healing_option,
    add_model_options,
    healing_params,
    load_completer,
    set_example,
    stop_params,
    use_environment,
)
from lsp_server.commands.sampling_options import sampling_params
from lsp_server.completion.prompt import Code
from lsp_server.completion.shown import fitted
from lsp_server.documents.documents import Document
from lsp_server.documents.line_endings import to_document, to_engine
from lsp_server.files.repositories import NamedFile, named_file
from lsp_server.team.answers import as_json

_POSITION = re.compile(r"(.+):([0-9]{1,9}):([0-9]{1,9})", re.DOTALL)
_STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A document cut at the cursor, as the engine reads it. Text inserted at the cursor has the document's
    ``line_break``. ``file`` and ``language`` are None if they are not known.
    """

    prefix: str
    suffix: str
    line_break: str = "\n"
    file: NamedFile | None = None
    language: str | None = None


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    set_example(
        parser,
        "midtoken complete src/app.py:10:18",
        "midtoken complete src/app.py:10:18 -n 3 --temperature 0.6 --seed 1 --json",
        "printf 'import nump' | midtoken complete --prefix-file -",
    )
    parser.add_argument(
        "position",
        nargs="?",
        metavar="FILE:LINE:COLUMN",
        help="where the cursor is: line and column count from 1, columns in characters; column 1 is before the first",
    )
    parser.add_argument(
        "--prefix-file",
        type=Path,
        metavar="P",
        help="text before the cursor, a final line break included, in place of a position; - is standard input",
    )
    parser.add_argument("--suffix-file", type=Path, metavar="S", help="text after the cursor, with --prefix-file")
    parser.add_argument("--language", metavar="NAME", help="such as python (default: by the name of the file)")
    parser.add_argument(
        "-n", "--max-completions", type=int, default=1, metavar="N", help="up to N different candidates (default: 1)"
    )
    parser.add_argument(
        "--as-shown",
        action="store_true",
        help="fit completions to their place as the language server does: nothing twice, the file's own indentation",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_healing_option(parser)
    add_completion_options(parser)
    add_model_options(parser)
    use_environment(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the text to insert, or everything about it as JSON."""
    cursor = _read_cursor(args)
    language = args.language or cursor.language
    syntax = syntax_of(language or "")
    code = Code(cursor.prefix, cursor.suffix, syntax, scan(cursor.prefix, syntax))
    expected = code.expected if args.as_shown else Expected()
    request = CompletionRequest(
        prefix=cursor.prefix,
        suffix=cursor.suffix,
        language=language,
        path="" if cursor.file is None else cursor.file.path,
        repository="" if cursor.file is None else cursor.file.repository,
        words=expected.names,
        only_words=expected.is_all,
        max_completions=args.max_completions,
        budget_ms=args.budget_ms,
        healing=healing_params(args),
        sampling=sampling_params(args),
        stop=stop_params(args),
        speculation=args.speculation,
    )
    started = time.perf_counter()
    completer = load_completer(args)
    load_ms = (time.perf_counter() - started) * 1000
    result = completer.complete(request)
    if args.as_shown:
        result = fitted(result, code)
    result = _for_document(result, cursor.line_break)
    if args.json:
        print(json.dumps(as_json(result, completer.info, load_ms), ensure_ascii=False, allow_nan=False))
    else:
        _print_text(result, cursor, color=sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    return 0


def cut(text: str, name: str, line: int, column: int) -> Cursor:
    """Cut ``text`` at a 1-based line and column in characters. Raises `DocumentError` outside it."""
    document = Document.create(name, "", 0, text)
    if not 1 <= line <= document.lines:
        lines = "1 line" if document.lines == 1 else f"{document.lines} lines"
        raise DocumentError(f"{name} has {lines}; line {line} does not exist")
    start, end = document.line_span(line - 1)
    if not 1 <= column <= end - start + 1:
        raise DocumentError(f"line {line} of {name} has columns 1 to {end - start + 1}; {column} is outside")
    index = start + column - 1
    return Cursor(to_engine(text[:index]), to_engine(text[index:]), document.line_break_near(line - 1))


def join(prefix: str, suffix: str) -> Cursor:
    """The cursor between two texts."""
    document = Document.create("", "", 0, prefix + suffix)
    line_break = document.line_break_near(document.line_at(len(prefix)))
    return Cursor(to_engine(prefix), to_engine(suffix), line_break)


def read_document(path: Path) -> str:
    """The text of a file, or of standard input for ``-``, with its line breaks. Raises `DocumentError`."""
    try:
        data = sys.stdin.buffer.read() if path == _STDIN else path.read_bytes()
        return data.decode("utf-8-sig")  # a byte order mark is not part of the text: column 1 comes after it
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path} is not UTF-8 (byte {error.start}); convert it first") from None
    except IsADirectoryError as error:
        raise DocumentError(f"{path} is a folder; name a file in it") from error
    except OSError as error:
        raise DocumentError(f"cannot read {path}: {error.strerror}; check the path") from None


def _read_cursor(args: argparse.Namespace) -> Cursor:
    if (args.position is None) == (args.prefix_file is None):
        raise RequestError("give either FILE:LINE:COLUMN or --prefix-file; see 'midtoken complete --help'")
    if args.position is None:
        if _STDIN == args.prefix_file == args.suffix_file:
            raise RequestError("standard input can be --prefix-file or --suffix-file, not both; use a file for one")
        suffix = "" if args.suffix_file is None else read_document(args.suffix_file)
        return join(read_document(args.prefix_file), suffix)
    if args.suffix_file is not None:
        raise RequestError("--suffix-file goes with --prefix-file; a position takes the text after it from the file")
    match = _POSITION.fullmatch(args.position)
    if match is None:
        raise RequestError(f"{args.position!r} is not FILE:LINE:COLUMN, such as src/app.py:10:18")
    line, column = int(match[2]), int(match[3])
    if line == 0 or column == 0:
        raise RequestError(f"{args.position!r} has a 0; lines and columns count from 1")
    path = Path(match[1])
    cursor = cut(read_document(path), match[1], line, column)
    return replace(cursor, file=named_file(path.absolute().as_uri()), language=language_of(path.name))


def _for_document(result: CompletionResult, line_break: str) -> CompletionResult:
    completions = tuple(replace(c, text=to_document(c.text, line_break)) for c in result.completions)
    return replace(result, completions=completions)


def _print_text(result: CompletionResult, cursor: Cursor, *, color: bool) -> None:
    """Print only the text to a pipe. On a terminal, also print the line before the cursor, dimmed, to show where
    the text begins.
    """
    line = cursor.prefix[cursor.prefix.rfind("\n") + 1 :]
    before, after = (f"\x1b[2m{line}\x1b[0m\x1b[1m", "\x1b[0m") if color else ("", "")
    for completion in result.completions:
        print(f"{before}{completion.text}{after}")
    if not result.completions:
        print("midtoken: the model has nothing to add here", file=sys.stderr)
