"""``midtoken complete``: one completion of a file, for people and for scripts."""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import Completer, CompletionRequest, CompletionResult, DocumentError, RequestError
from lsp_server.commands.options import (
    add_command,
    add_completion_options,
    add_model_options,
    healing_params,
    load_completer,
    sampling_params,
    stop_params,
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A document cut in two."""

    prefix: str
    suffix: str


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "complete", "complete a file at a position", "midtoken complete src/app.py:10:18 --healing k-step"
    )
    parser.add_argument(
        "position", nargs="?", metavar="FILE:LINE:COLUMN", help="1-based line and column, counted in characters"
    )
    parser.add_argument("--prefix-file", type=Path, metavar="P", help="text before the cursor, in place of a position")
    parser.add_argument("--suffix-file", type=Path, metavar="S", help="text after the cursor")
    parser.add_argument("--language", help="language of the text, such as python")
    parser.add_argument("-n", dest="count", type=int, default=1, metavar="N", help="candidates (default: 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_completion_options(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the text to insert, or everything about it as JSON."""
    cursor = _read_cursor(args)
    request = CompletionRequest(
        prefix=cursor.prefix,
        suffix=cursor.suffix,
        language=args.language,
        max_completions=args.count,
        budget_ms=args.budget_ms,
        healing=healing_params(args),
        sampling=sampling_params(args),
        stop=stop_params(args),
    )
    started = time.perf_counter()
    completer = load_completer(args, lambda line: print(f"midtoken: {line}", file=sys.stderr))
    load_ms = (time.perf_counter() - started) * 1000
    result = completer.complete(request)
    if args.json:
        print(json.dumps(as_json(result, completer, load_ms), ensure_ascii=False))
    else:
        _print_text(result, cursor, color=sys.stdout.isatty())
    return 0


def as_json(result: CompletionResult, completer: Completer, load_ms: float) -> dict[str, Any]:
    """The object that ``--json`` prints; other people's scripts rely on its names."""
    timing, info = result.timing, completer.info
    return {
        "completions": [
            {
                "text": completion.text,
                "logprob": completion.logprob,
                "tokens": completion.tokens,
                "stop": completion.stop,
                "healing": {
                    "mode": completion.healing.mode,
                    "tail": completion.healing.tail,
                    "tokens_back": completion.healing.tokens_back,
                    "covers": completion.healing.covers,
                    "surprise_bits": completion.healing.surprise_bits,
                },
            }
            for completion in result.completions
        ],
        "timing_ms": {
            "load": load_ms,
            "tokenize": timing.tokenize_ms,
            "heal": timing.heal_ms,
            "prefill": timing.prefill_ms,
            "decode": timing.decode_ms,
            "total": load_ms + timing.total_ms,
        },
        "model": {
            "path": info.path,
            "device": info.device,
            "precision": info.precision,
            "vocabulary": info.vocabulary,
        },
    }


def cut(text: str, name: str, line: int, column: int) -> Cursor:
    """Cut ``text`` at a 1-based line and column in characters. Raises `DocumentError` outside it."""
    lines = text.split("\n")
    if not 1 <= line <= len(lines):
        raise DocumentError(f"{name} has {len(lines)} lines; line {line} does not exist")
    content = lines[line - 1].removesuffix("\r")
    if not 1 <= column <= len(content) + 1:
        raise DocumentError(f"line {line} of {name} has columns 1 to {len(content) + 1}; {column} is outside")
    offset = sum(len(before) + 1 for before in lines[: line - 1]) + column - 1
    return Cursor(text[:offset], text[offset:])


def read_document(path: Path) -> str:
    """The text of a file with its line ends as they are. Raises `DocumentError`."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path} is not UTF-8 (byte {error.start}); convert it first") from None
    except OSError as error:
        raise DocumentError(f"cannot read {path}: {error.strerror}") from None


def _read_cursor(args: argparse.Namespace) -> Cursor:
    if (args.position is None) == (args.prefix_file is None):
        raise RequestError("give either FILE:LINE:COLUMN or --prefix-file")
    if args.position is None:
        suffix = "" if args.suffix_file is None else read_document(args.suffix_file)
        return Cursor(read_document(args.prefix_file), suffix)
    if args.suffix_file is not None:
        raise RequestError("--suffix-file goes with --prefix-file; a position takes the suffix from the file")
    name, *numbers = args.position.rsplit(":", 2)
    if len(numbers) != 2 or not all(number.isascii() and number.isdigit() for number in numbers):
        raise RequestError(f"{args.position!r} is not FILE:LINE:COLUMN, such as src/app.py:10:18")
    return cut(read_document(Path(name)), name, int(numbers[0]), int(numbers[1]))


def _print_text(result: CompletionResult, cursor: Cursor, *, color: bool) -> None:
    """Text alone for a pipe; on a terminal the line before the cursor too, dimmed, so that one sees the joint."""
    line = cursor.prefix[cursor.prefix.rfind("\n") + 1 :]
    before, after = (f"\x1b[2m{line}\x1b[0m\x1b[1m", "\x1b[0m") if color else ("", "")
    for completion in result.completions:
        print(f"{before}{completion.text}{after}")
    if not result.completions:
        print("midtoken: the model has nothing to add here", file=sys.stderr)
