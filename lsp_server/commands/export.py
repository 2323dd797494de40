"""``midtoken export``: a checkpoint folder becomes a model folder."""

import argparse
import sys
from pathlib import Path

from engine import ExportError
from lsp_server.commands.options import set_example
from lsp_server.commands.progress import progress_bar

# The parts of the extra 'export' that may be missing; a missing module of any other name is a bug.
_EXTRA = (
    "torch",
    "transformers",
    "onnx",
    "onnxruntime_genai",
    "onnx_ir",
    "onnxscript",
    "safetensors",
    "matplotlib",
)


# What is being done while so many steps are finished.
_STEPS = ("the graph", "the folder", "checks", "export")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    set_example(parser, "midtoken export my-checkpoint my-model --precision int4")
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="folder in the Hugging Face layout")
    parser.add_argument("out", type=Path, metavar="OUT", help="model folder to write")
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8", "int4"), default="int4", help="default: int4")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="what it will run on (default: cpu)")
    parser.add_argument(
        "--output-basis",
        type=int,
        default=0,
        metavar="C",
        help="keep C columns of the output embedding, 20 for example, which --bat needs (default: 0, none)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export, quantise, validate; what stood at OUT before stays until the new folder has passed every check."""
    bar = progress_bar("export")
    try:
        from onnx_export.export import export_checkpoint  # here, for torch is for those who asked for it

        export_checkpoint(
            args.checkpoint,
            args.out,
            precision=args.precision,
            device=args.device,
            output_basis=args.output_basis,
            progress=lambda done, total: bar(done, total, _STEPS[done]),
            notice=lambda line: print(f"midtoken: {line}", file=sys.stderr),
        )
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _EXTRA:
            raise
        raise ExportError(f"exporting needs {module}; install it with: pip install 'midtoken[export]'") from error
    finally:
        bar.close()
    print(f"midtoken: wrote {args.out}", file=sys.stderr)
    return 0
