"""Healing compared with its classic alternative: training on random segmentations (BPE-dropout, Provilkov et al. 2020).

    python -m benchmarks.segmentation OUT --corpus build/corpus [--flops 5e12] [--dropout 0.1]

Trains four small models, with and without dropout, with and without fill-in-the-middle (whose cuts on characters show a
model parts of tokens too), and completes held-out lines, cut inside identifiers and before words, without healing and
with it. Dropout draws from the tokenizer library's own generator, which cannot be seeded, so figures vary a little
between runs. An interrupted run continues. Needs the extra `export`.
"""

import argparse
import sys
from typing import Any

from tokenizers import Tokenizer

from benchmarks.small_models import carry_out, command, complete, held_out_cases, table_head, train_small
from engine import Completer, HealingParams
from lsp_server.commands.evaluation import score


def main() -> int:
    """Train, measure and print the table; exit status 1 with one line if that cannot be done."""
    parser = command(__doc__, flops=5e12, cases=300)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--vocabulary", type=int, default=16_384)
    return carry_out(_compare, parser.parse_args())


def _compare(args: argparse.Namespace, corpus: Any) -> None:
    from onnx_export.train.finish import load_or_train_tokenizer

    inside = held_out_cases(corpus, args.out / "held_out", "identifier", args.cases)
    before = held_out_cases(corpus, args.out / "held_out", "word", args.cases)
    tokenizer = load_or_train_tokenizer(args.out, corpus, args.vocabulary)
    heads = ("dropout", "fill-in-the-middle", "bits a byte", "healing")
    scores = ("identifier exact", "characters kept inside", "exact line inside", "characters kept before words")
    print(table_head((*heads, *scores)))
    for dropout in (0.0, args.dropout):
        for fim_rate in (0.0, 0.5):
            folder = args.out / f"dropout-{dropout}-fim-{fim_rate}"
            figures = train_small(
                folder,
                corpus,
                tokenizer,
                size=args.size,
                flops=args.flops,
                fim_rate=fim_rate,
                encoder=with_dropout(tokenizer, dropout) if dropout else None,
            )
            completer = Completer.load(folder / "int4")
            for mode in (HealingParams(mode="off"), HealingParams(mode="exact")):
                mid, word = (score(complete(completer, cases, mode)[0]) for cases in (inside, before))
                cells = [f"{dropout:g}", f"{fim_rate:.0%}", f"{figures['bits_per_byte']:.3f}", mode.mode]
                cells += [f"{mid.identifier_exact or 0.0:.1%}", f"{mid.matched_chars:.2f}"]
                print(
                    f"| {' | '.join([*cells, f'{mid.exact_first_line:.1%}', f'{word.matched_chars:.2f}'])} |",
                    flush=True,
                )


def with_dropout(tokenizer: Tokenizer, rate: float) -> Tokenizer:
    """A copy that leaves out each merge with probability `rate`, drawn at each call: the same text gives different
    tokens.
    """
    from onnx_export.train.tokenizer import text_only

    copy = text_only(Tokenizer.from_str(tokenizer.to_str()))
    copy.model.dropout = rate
    return copy


if __name__ == "__main__":
    sys.exit(main())
