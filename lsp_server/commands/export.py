"""``midtoken export``: a checkpoint folder becomes a model folder."""

import argparse
import sys
from pathlib import Path
from typing import Any

from engine import ExportError
from lsp_server.commands.options import add_command


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "export",
        "turn a checkpoint into a model folder",
        "midtoken export my-checkpoint my-model --precision int4",
    )
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="folder in the Hugging Face layout")
    parser.add_argument("out", type=Path, metavar="OUT", help="model folder to write")
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8", "int4"), default="int4", help="default: int4")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="what it will run on (default: cpu)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export, quantise, validate; what stood at OUT before stays until the new folder has passed every check."""
    try:
        from onnx_export.export import export_checkpoint
    except ModuleNotFoundError as error:
        raise ExportError(f"exporting needs {error.name}; install it with: pip install 'midtoken[export]'") from None
    export_checkpoint(args.checkpoint, args.out, precision=args.precision, device=args.device)
    print(f"midtoken: wrote {args.out}", file=sys.stderr)
    return 0
