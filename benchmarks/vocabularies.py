"""Which vocabulary to give a model: superwords beside the ordinary split, at several sizes, at equal training compute.

    python -m benchmarks.vocabularies OUT --corpus build/corpus [--flops 1e13] [--sizes 16384 32768 49152]

For each: characters a token on held-out text, bits per byte of a small model that had the same floating-point
operations as the others, and what a completed line costs. An interrupted run goes on. Needs the extra `export`.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import mean, median
from typing import Any

from tokenizers import Tokenizer

from benchmarks.small_models import carry_out, command, complete, held_out_cases, table_head, train_small
from engine import Completer, HealingParams
from lsp_server.commands.evaluation import score


def main() -> int:
    """Train, measure and print the table; exit status 1 with one line where that cannot be done."""
    parser = command(__doc__, flops=1e13, cases=100)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16_384, 32_768, 49_152])
    return carry_out(_compare, parser.parse_args())


def _compare(args: argparse.Namespace, corpus: Any) -> None:
    from onnx_export.train.finish import load_or_train_tokenizer
    from onnx_export.train.tokenizer import SPLITS, text_only

    cases = held_out_cases(corpus, args.out / "held_out", "word", args.cases)
    rows = []
    for split in SPLITS:
        largest = load_or_train_tokenizer(args.out / split, corpus, max(args.sizes), split)
        for size in args.sizes:
            tokenizer = text_only(truncated(largest, size))
            folder = args.out / f"{split}-{size}"
            figures = train_small(folder, corpus, tokenizer, size=args.size, flops=args.flops)
            cells = [split, f"{size:,}", f"{characters_a_token(corpus, tokenizer):.2f}", *_cells(figures)]
            rows.append([*cells, *_speed(folder / "int4", cases)])
            print(" ".join(rows[-1]), flush=True)
    heads = ("split", "entries", "characters a token", "parameters", "tokens seen", "bits a byte")
    speeds = ("exact line", "characters kept", "decode steps a line", "ms a line p50", "ms a step")
    print(f"\n{table_head((*heads, *speeds))}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def truncated(tokenizer: Tokenizer, entries: int) -> Tokenizer:
    """The tokenizer that the same training would have made with fewer entries: merges are learned one after another."""
    content = json.loads(tokenizer.to_str())
    model = content["model"]
    model["vocab"] = {spelling: number for spelling, number in model["vocab"].items() if number < entries}
    model["merges"] = [pair for pair in model["merges"] if "".join(pair) in model["vocab"]]
    return Tokenizer.from_str(json.dumps(content))


def characters_a_token(corpus: Any, tokenizer: Tokenizer) -> float:
    """Over the whole held-out text."""
    texts = [document.text for document in corpus.held_out]
    encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return sum(map(len, texts)) / sum(len(encoding.ids) for encoding in encoded)


def _cells(figures: dict[str, Any]) -> list[str]:
    parameters, tokens = figures["parameters"] / 1e6, figures["tokens"] / 1e3
    return [f"{parameters:.1f} M", f"{tokens:,.0f} k", f"{figures['bits_per_byte']:.3f}"]


def _speed(folder: Path, cases: list[Any]) -> list[str]:
    completer = Completer.load(folder)
    outcomes, steps = complete(completer, cases, HealingParams(mode="exact"))
    scores = score(outcomes)
    times = [outcome.milliseconds for outcome in outcomes]
    each = median(time / count for time, count in zip(times, steps, strict=True) if count)
    quality = [f"{scores.exact_first_line:.1%}", f"{scores.matched_chars:.2f}"]
    return [*quality, f"{mean(steps):.1f}", f"{scores.ms_p50:.1f}", f"{each:.2f}"]


if __name__ == "__main__":
    sys.exit(main())
