"""``midtoken export``: a checkpoint folder or a GGUF file becomes a model folder."""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import get_args

from engine import ExportError
from lsp_server.commands.options import set_example
from lsp_server.commands.progress import progress_bar
from lsp_server.models.converting import PRECISIONS, SecondGraph, missing_extras_named

FOR_GGUF = frozenset({"keep", "w8a8", *get_args(SecondGraph)})
"""Precisions that a checkpoint cannot have here."""
DEFAULT_ENTRIES = 32_768
"""Entries that a cut keeps by default."""

# What is being done after this many steps.
_STEPS = ("the graph", "the folder", "checks", "export")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    set_example(parser, "midtoken export model.gguf my-model")
    parser.add_argument(
        "checkpoint", type=Path, metavar="SOURCE", help="a GGUF file, or a folder in the Hugging Face layout"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="model folder to write")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="default: keep (the file's own blocks) for a GGUF file, int4 for a checkpoint; w8a8 reads prompts "
        "fastest; with +w8a8 a second graph reads them, if that is faster where it runs",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="what it will run on (default: cpu)")
    parser.add_argument(
        "--output-basis",
        type=int,
        default=0,
        metavar="C",
        help="keep C columns of the output embedding, 20 for example, which --bat needs (default: 0, none)",
    )
    parser.add_argument(
        "--keep-entries-of",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="of a GGUF file's vocabulary keep what this file or folder of code uses most; may be given several times",
    )
    parser.add_argument(
        "--entries", type=int, metavar="N", help="keep at most so many entries (default: 32768 with --keep-entries-of)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export, quantise, validate. An old folder at OUT stays until the new one has passed every check."""
    if args.checkpoint.is_file():
        return _convert(args)
    if args.keep_entries_of or args.entries is not None:
        raise ExportError("--keep-entries-of and --entries are for GGUF files, not for checkpoints")
    if args.precision in FOR_GGUF:
        raise ExportError(f"--precision {args.precision} is for GGUF files; name another for a checkpoint")
    with contextlib.closing(progress_bar("export")) as bar, missing_extras_named():
        from onnx_export.export import export_checkpoint  # imported here, because it needs torch

        export_checkpoint(
            args.checkpoint,
            args.out,
            precision=args.precision or "int4",
            device=args.device,
            output_basis=args.output_basis,
            progress=lambda done, total: bar(done, total, _STEPS[done]),
            notice=lambda line: print(f"midtoken: {line}", file=sys.stderr),
        )
    print(f"midtoken: wrote {args.out}", file=sys.stderr)
    return 0


def _convert(args: argparse.Namespace) -> int:
    """Convert a GGUF file. This needs no torch, and nothing is compared with torch."""
    if args.precision == "fp16" or args.device == "cuda" or args.output_basis:
        raise ExportError("--precision fp16, --device cuda and --output-basis are for checkpoints, not for GGUF files")
    if args.entries is not None and not args.keep_entries_of:
        raise ExportError("--entries needs --keep-entries-of PATH, the code whose entries are kept")
    from onnx_export.convert import convert, split_precision
    from onnx_export.entry_counts import Cut

    precision, reading = split_precision(args.precision or "keep")
    texts = tuple(args.keep_entries_of)
    with contextlib.closing(progress_bar("export")) as bar:
        convert(
            args.checkpoint,
            args.out,
            precision=precision,
            reading=reading,
            cut=Cut(texts, DEFAULT_ENTRIES if args.entries is None else args.entries) if texts else None,
            progress=lambda done, what: bar(round(100 * done), 100, what),
        )
    print(f"midtoken: wrote {args.out}", file=sys.stderr)
    return 0
