"""`python -m onnx_export.train`: train a model using only what pip installs, or continue from another model.

Example: python -m onnx_export.train.corpus build/corpus
         python -m onnx_export.train --out build/run --corpus build/corpus --minutes 45
"""

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from engine.errors import MidtokenError, TrainingError
from onnx_export.train.samples import FIM_RATE, SPM_SHARE

if TYPE_CHECKING:
    from onnx_export.train.foreign import Foreign
    from onnx_export.train.loop import TrainingSettings

# Windows whose activations are in memory at one time. More do not make a processor faster, and would fill a GPU.
MICRO_WINDOWS = MappingProxyType({"cpu": 4, "cuda": 16})
DEFAULT_MINUTES = 45.0
SPM_SHARES = MappingProxyType({"both": SPM_SHARE, "spm": 1.0, "psm": 0.0})


def main(arguments: list[str] | None = None) -> int:
    """Run the recipe; returns the exit status: 0 done, 1 failed with one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except MidtokenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(
            f"error: the package {error.name} is missing: install torch, transformers and tokenizers",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m onnx_export.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the finished model")
    parser.add_argument("--corpus", type=Path, help="corpus, or your own sources (default: Python's library)")
    parser.add_argument("--size", default="small", choices=("tiny", "mini", "small", "base", "large"))
    parser.add_argument("--minutes", type=float, help="stop after this much training (default: 45 where no --steps)")
    parser.add_argument("--steps", type=int, help="stop after this many steps; gives the same curve every time")
    parser.add_argument(
        "--schedule", default="cosine", choices=("cosine", "hold"), help="hold: to be cooled down later"
    )
    parser.add_argument("--cool-down", type=Path, metavar="RUN", help="the last --steps of a run that was held")
    parser.add_argument(
        "--start-from",
        type=Path,
        metavar="MODEL",
        help="begin with the weights of a finished model; a Llama of others (GGUF file or checkpoint folder) keeps its "
        "own tokenizer and shape",
    )
    parser.add_argument(
        "--plain-share",
        type=float,
        default=1.0 - FIM_RATE,
        metavar="P",
        help="samples left as plain text (default 0.5)",
    )
    parser.add_argument(
        "--order",
        default="both",
        choices=tuple(SPM_SHARES),
        help="of the parts where a sample is rearranged: suffix-prefix-middle, prefix-suffix-middle or half and half",
    )
    parser.add_argument("--layers", type=int, metavar="N", help="of another maker's model, drop all but N layers")
    parser.add_argument(
        "--entries", type=int, metavar="N", help="of another maker's vocabulary, keep the N entries that are used most"
    )
    parser.add_argument(
        "--held-out-windows", type=int, default=400, metavar="N", help="windows measured before and after (default 400)"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="factor on both learning rates (default 1)")
    parser.add_argument("--vocabulary", type=int, default=16_384, help="entries of the tokenizer")
    parser.add_argument("--batch", type=int, default=4, help="windows of 1,024 tokens in each step (default 4)")
    parser.add_argument("--seed", type=int, default=20_240)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, help="processor threads of torch")
    return parser


def _run(options: argparse.Namespace) -> None:
    import torch

    from onnx_export.train.corpus import read_corpus
    from onnx_export.train.finish import copy_tokenizer, finish, load_or_train_tokenizer
    from onnx_export.train.foreign import give_tokenizer, is_foreign, read_foreign
    from onnx_export.train.loop import train
    from onnx_export.train.model import build_model
    from onnx_export.train.origin import origin_of
    from onnx_export.train.reducing import with_fewer_entries, with_fewer_layers
    from onnx_export.train.tokenizer import control_ids
    from onnx_export.train.warm_start import warm_start

    _check(options)
    if options.threads:
        torch.set_num_threads(options.threads)
    foreign = read_foreign(options.start_from) if options.start_from and is_foreign(options.start_from) else None
    settings = _settings(options, foreign)
    started = time.monotonic()
    corpus = read_corpus(options.corpus)
    if options.cool_down:
        copy_tokenizer(options.cool_down, options.out)
    if foreign:
        if options.entries is not None:
            foreign = with_fewer_entries(foreign, corpus.train, options.entries)
        if options.layers is not None:
            foreign = with_fewer_layers(foreign, corpus.train, options.layers)
        give_tokenizer(foreign, options.out)
    tokenizer = load_or_train_tokenizer(options.out, corpus, options.vocabulary)
    if foreign:
        model = foreign.build()
    else:
        model = build_model(settings.size, tokenizer.get_vocab_size(), control_ids(tokenizer), settings.seed)
    if options.start_from and not foreign:
        warm_start(model, tokenizer, options.start_from)
    print(
        f"{len(corpus.train)} files to train on, {len(corpus.held_out)} held out; "
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters; "
        f"ready after {time.monotonic() - started:.0f} s",
        flush=True,
    )
    origin = origin_of(foreign, model, tokenizer, corpus, settings, options.out) if foreign else None
    progress = train(settings, model, tokenizer, corpus, options.out, _reporter(), branch_from=options.cool_down)
    source = options.start_from if foreign else None
    finish(options.out, model, tokenizer, corpus, progress, asdict(settings), origin, source)


def _check(options: argparse.Namespace) -> None:
    """Errors: TrainingError for options that do not go together, or that this machine cannot follow."""
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("no CUDA device is available: leave --device out to train on the processor")
    if options.cool_down and (options.steps is None or options.minutes is not None):
        raise TrainingError("a cool-down needs a number of --steps, and no --minutes")
    if (options.layers is not None or options.entries is not None) and not options.start_from:
        raise TrainingError("--layers and --entries are for another maker's model: name it with --start-from")
    if not 0.0 <= options.plain_share <= 1.0:
        raise TrainingError(f"--plain-share is {options.plain_share}, not a share between 0 and 1")


def _settings(options: argparse.Namespace, foreign: "Foreign | None") -> "TrainingSettings":
    """The settings of a run. A model of another maker keeps its own name, and its context length if that is shorter."""
    from onnx_export.train.loop import TrainingSettings
    from onnx_export.train.model import CONTEXT_LENGTH
    from onnx_export.train.precision import bfloat16_pays

    return TrainingSettings(
        size=foreign.name if foreign else options.size,
        window=min(TrainingSettings.window, foreign.config.max_position_embeddings if foreign else CONTEXT_LENGTH),
        fim_rate=1.0 - options.plain_share,
        spm_share=SPM_SHARES[options.order],
        schedule="cool-down" if options.cool_down else options.schedule,
        batch_windows=options.batch,
        micro_windows=min(options.batch, MICRO_WINDOWS[options.device]),
        warmup_steps=_warmup_steps(options),
        steps=options.steps,
        minutes=DEFAULT_MINUTES if options.minutes is None and options.steps is None else options.minutes,
        matrix_rate=TrainingSettings.matrix_rate * options.rate,
        embedding_rate=TrainingSettings.embedding_rate * options.rate,
        seed=options.seed,
        device=options.device,
        low_precision=bfloat16_pays(options.device),
        held_out_windows=options.held_out_windows,
    )


def _warmup_steps(options: argparse.Namespace) -> int:
    """The usual number, but a tenth of a short run. A held run and its end have the usual one: they must agree."""
    from onnx_export.train.loop import TrainingSettings

    if options.steps is None or options.cool_down or options.schedule == "hold":
        return TrainingSettings.warmup_steps
    return min(TrainingSettings.warmup_steps, max(1, options.steps // 10))


def _reporter() -> Any:
    """Progress on one line that is rewritten on a terminal; a plain line each time elsewhere."""
    from onnx_export.train.checkpoint import Progress
    from onnx_export.train.loop import mean_loss

    terminal = sys.stdout.isatty()

    def report(progress: Progress, done: float) -> None:
        loss = mean_loss(progress.losses)
        bits = f"  held out {progress.held_out[-1][1]:.3f} bits/byte" if progress.held_out else ""
        rate = progress.tokens / max(progress.elapsed_s, 1e-9)
        filled = int(24 * done)
        bar = f"[{'#' * filled}{'.' * (24 - filled)}] " if terminal else ""
        line = f"{bar}{done:6.1%}  step {progress.step}  loss {loss:.3f}  {rate:,.0f} tokens/s{bits}"
        print(f"\r{line}" if terminal else line, end="" if terminal else "\n", flush=True)

    return report


if __name__ == "__main__":
    sys.exit(main())
