"""Small models that are trained for comparison: equal arithmetic, the same held-out text and cuts."""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from benchmarks.cases import CUTS, places
from engine import Completer, CompletionRequest, DocumentError, HealingParams, MidtokenError, StopParams
from lsp_server.commands.evaluation import Case, Outcome

WINDOW = 512  # tokens: twice the steps of full windows
EVERY_NTH_FILE = 6  # is text enough for small runs: an epoch is encoded at once
PIECE_CHARACTERS = 3_000
PROMPT_CHARACTERS = 1_500


def command(description: str | None, flops: float, cases: int) -> argparse.ArgumentParser:
    """Options of every comparison; `flops` and `cases` are the defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--size", default="mini")
    parser.add_argument("--flops", type=float, default=flops)
    parser.add_argument("--cases", type=int, default=cases)
    return parser


def carry_out(compare: Callable[[argparse.Namespace, Any], None], args: argparse.Namespace) -> int:
    """Run `compare` with the options and the corpus; exit status 1 with one line if that cannot be done."""
    from onnx_export.train.corpus import read_corpus

    try:
        compare(args, read_corpus(args.corpus))
    except MidtokenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def table_head(cells: Sequence[str]) -> str:
    """The first two lines of a table in Markdown."""
    return f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}"


def train_small(
    out: Path,
    corpus: Any,
    tokenizer: Tokenizer,
    *,
    size: str,
    flops: float,
    fim_rate: float = 0.5,
    encoder: Tokenizer | None = None,
) -> dict[str, Any]:
    """Train on some files for `flops` operations into `out`, from its checkpoint if it has one, and export at int4.

    `encoder` encodes the training text, if `tokenizer` itself does not. Returns steps, tokens, parameters and bits per
    byte of held-out pieces; the exported folder is `out/int4`.
    """
    from onnx_export.export import export_checkpoint
    from onnx_export.train.finish import finish
    from onnx_export.train.held_out import bits_per_byte, torch_scorer
    from onnx_export.train.loop import TrainingSettings, train
    from onnx_export.train.model import build_model
    from onnx_export.train.tokenizer import control_ids

    done = out / "comparison.json"
    if done.exists():
        finished: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return finished
    settings = TrainingSettings(
        size=size,
        window=WINDOW,
        batch_windows=2,
        micro_windows=2,
        fim_rate=fim_rate,
        rename_rate=0.0,
        held_out_every_s=1e9,
    )
    model = build_model(size, tokenizer.get_vocab_size(), control_ids(tokenizer), settings.seed)
    steps = max(1, round(flops / (flops_per_token(model) * WINDOW * settings.batch_windows)))
    settings = replace(settings, steps=steps, warmup_steps=1 + steps // 20, log_every_steps=max(1, steps // 10))
    own = replace(corpus, train=corpus.train[::EVERY_NTH_FILE], held_out=())
    progress = train(settings, model, encoder or tokenizer, own, out, _report)
    finish(out, model, tokenizer, own, progress, asdict(settings))
    export_checkpoint(out / "model", out / "int4", precision="int4", check=False)
    figures = {
        "steps": steps,
        "tokens": progress.tokens,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "bits_per_byte": bits_per_byte(torch_scorer(model), tokenizer, held_out_pieces(corpus), WINDOW),
    }
    done.write_text(json.dumps(figures), encoding="utf-8")
    return figures


def flops_per_token(model: Any) -> float:
    """Operations of one training step per token: six for each parameter (a tied embedding counts once), and causal
    attention.
    """
    config = model.config
    attention = 6 * config.num_hidden_layers * WINDOW * config.num_attention_heads * config.head_dim
    return float(6 * sum(parameter.numel() for parameter in model.parameters()) + attention)


def held_out_pieces(corpus: Any, count: int = 80) -> list[Any]:
    """The first 3,000 characters of evenly spaced held-out files that are not tests: the same text for every model."""
    from onnx_export.train.corpus.documents import is_test

    usable = [d for d in corpus.held_out if not is_test(d.path) and len(d.text) >= PIECE_CHARACTERS]
    chosen = usable[:: max(1, len(usable) // count)][:count]
    return [replace(document, text=document.text[:PIECE_CHARACTERS]) for document in chosen]


def held_out_cases(corpus: Any, folder: Path, cut: str, count: int, seed: int = 0) -> list[Case]:
    """Places of kind `cut` (of benchmarks.cases) in the held-out files, which are written to `folder` for that."""
    from onnx_export.train.corpus.documents import is_test

    folder.mkdir(parents=True, exist_ok=True)
    for number, document in enumerate(d for d in corpus.held_out if not is_test(d.path)):
        (folder / f"{number:04}.py").write_text(document.text, encoding="utf-8")
    found = list(places(folder, CUTS[cut]))
    if len(found) < count:
        raise DocumentError(f"the held-out text has {len(found)} places to cut: lower --cases, or use a larger corpus")
    cases = []
    for path, offset in random.Random(seed).sample(found, count):
        text = path.read_text(encoding="utf-8")
        prefix = text[max(0, offset - PROMPT_CHARACTERS) : offset]
        cases.append(Case(f"{path.name}:{offset}", prefix, "", text[offset : text.find("\n", offset)]))
    return cases


def complete(completer: Completer, cases: Sequence[Case], healing: HealingParams) -> tuple[list[Outcome], list[int]]:
    """Greedy completions of single lines, each with all but the last character in the cache; and their decode steps."""
    outcomes, steps = [], []
    stop = StopParams(max_new_tokens=48)
    for case in cases:
        completer.complete(CompletionRequest(case.prefix[:-1], healing=healing, stop=StopParams(max_new_tokens=1)))
        began = time.perf_counter()
        found = completer.complete(CompletionRequest(case.prefix, healing=healing, stop=stop)).completions
        outcomes.append(Outcome(case, found[0].text if found else "", (time.perf_counter() - began) * 1e3))
        steps.append(found[0].tokens if found else 0)
    return outcomes, steps


def _report(progress: Any, done: float) -> None:
    print(f"{done:6.1%}  step {progress.step}  loss {progress.losses[-1][1]:.3f}", flush=True)
