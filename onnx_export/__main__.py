"""`python -m onnx_export CHECKPOINT OUT`: turn a Hugging Face checkpoint folder into a model folder.

Example: python -m onnx_export build/checkpoint/model models/mine --precision int4
"""

import argparse
import json
import sys
from pathlib import Path

from engine.errors import MidtokenError
from onnx_export.export import export_checkpoint, summary


def main(arguments: list[str] | None = None) -> int:
    """Export; returns the exit status: 0 done, 1 failed with one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m onnx_export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--precision", default="int4", choices=("fp32", "fp16", "int8", "int4"))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--output-basis", type=int, default=0, metavar="C", help="keep C columns for basis-aware truncation"
    )
    options = parser.parse_args(arguments)
    try:
        manifest = export_checkpoint(
            options.checkpoint,
            options.out,
            precision=options.precision,
            device=options.device,
            output_basis=options.output_basis,
            notice=lambda line: print(line, file=sys.stderr),
        )
    except MidtokenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary(manifest, options.out), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
