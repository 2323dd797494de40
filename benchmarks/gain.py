"""What healing gains: completions of held-out files, cut inside tokens and at their boundaries, under each mode.

    python -m benchmarks.gain FOLDER [--model DIR] [--cases 300] [--checkpoint CHECKPOINT]

Cuts at true token boundaries under ``off`` show what a model can do when nothing is wrong. Cuts inside tokens under
``off`` show what it does without healing. The measure is how much of the gap between the two a mode closes. With
``--checkpoint`` (the folder that the model was exported from; needs torch and transformers) the healing of
``transformers`` runs on the same cases. Files must not have been trained on.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.arguments import parser_for
from benchmarks.baselines import Measure, estimate, line_is_exact, matched
from engine import Completer, CompletionRequest, HealingParams, StopParams
from lsp_server.commands.evaluation import Case, Outcome, identifier_matches

MODES = {
    "off": HealingParams(mode="off"),
    "one token": HealingParams(mode="k-step", k_max=1, tau=1),
    "k-step 3": HealingParams(mode="k-step"),
    "exact": HealingParams(mode="exact"),
}
PROMPT_CHARACTERS = 1500
Complete = Callable[[Case], str]


def main() -> None:
    """Print one table for cuts inside tokens, one row for cuts at boundaries, and the share of the gap closed."""
    parser = parser_for(__doc__, model=True, seed=True)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--cases", type=int, default=300)
    args = parser.parse_args()
    completer = Completer.load(args.model)
    inside, boundary = _cases(args.folder, completer, args.cases, random.Random(args.seed))
    results = {"off, at boundaries": _outcomes(boundary, _with_engine(completer, MODES["off"]))}
    for name, params in MODES.items():
        results[name] = _outcomes(inside, _with_engine(completer, params))
    if args.checkpoint:
        results["transformers"] = _outcomes(inside, _with_transformers(args.checkpoint, completer))
    print(f"{len(inside)} cuts inside tokens, {len(boundary)} at boundaries; prefix only, greedy, up to 48 tokens\n")
    print(f"{'':<20}{'exact first line':<24}{'matched characters':<24}{'identifier exact':<24}gap closed (line, chars)")
    for name, outcomes in results.items():
        print(_row(name, outcomes, results["off"], results["off, at boundaries"]))


def _row(name: str, outcomes: Sequence[Outcome], worst: Sequence[Outcome], best: Sequence[Outcome]) -> str:
    identifiers = [o for o in outcomes if o.case.inside_identifier]
    closed = [_closed(measure, outcomes, worst, best) for measure in (line_is_exact, matched)]
    cells = [estimate(outcomes, line_is_exact), estimate(outcomes, matched)]
    shown = [*map(str, cells), str(estimate(identifiers, identifier_matches)) if identifiers else "-"]
    return f"{name:<20}" + "".join(f"{cell:<24}" for cell in shown) + ", ".join(closed)


def _closed(measure: Measure, outcomes: Sequence[Outcome], worst: Sequence[Outcome], best: Sequence[Outcome]) -> str:
    low, high = (np.mean([measure(o) for o in group]) for group in (worst, best))
    return f"{(np.mean([measure(o) for o in outcomes]) - low) / (high - low):.0%}" if high > low else "-"


def _cases(folder: Path, completer: Completer, count: int, generator: random.Random) -> tuple[list[Case], list[Case]]:
    """Lines of code drawn at random, each cut once inside a token and once at a token boundary of its encoding."""
    inside: list[Case] = []
    boundary: list[Case] = []
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))]
    texts = [text for text in texts if len(text) > PROMPT_CHARACTERS]
    while min(len(inside), len(boundary)) < count:
        text = generator.choice(texts)
        start = text.rfind("\n", 0, generator.randrange(PROMPT_CHARACTERS // 2, len(text) - 200)) + 1
        end = text.find("\n", start)
        line = text[start:end]
        code = line.strip()
        if not 8 <= len(code) <= 120 or code.startswith(("#", '"', "'")) or not line.isascii():
            continue
        starts = _token_starts(completer, text[max(0, start - PROMPT_CHARACTERS) : end], len(line))
        indent = len(line) - len(line.lstrip())
        for cases, offsets in ((inside, set(range(len(line))) - starts), (boundary, starts)):
            usable = sorted(offset for offset in offsets if offset > indent)
            if usable and len(cases) < count:
                cut = start + generator.choice(usable)
                cases.append(Case(str(cut), text[max(0, cut - PROMPT_CHARACTERS) : cut], "", text[cut:end]))
    return inside, boundary


def _token_starts(completer: Completer, text: str, length: int) -> set[int]:
    """Offsets into the last ``length`` characters (ASCII) at which a token of the encoding of ``text`` starts."""
    position, starts = length, set()
    for token in reversed(completer.tokenizer.encode(text)):
        position -= len(completer.tokenizer.vocabulary.token_bytes[token])
        if position < 0:
            break
        starts.add(position)
    return starts


def _outcomes(cases: Sequence[Case], complete: Complete) -> list[Outcome]:
    return [Outcome(case, complete(case), 0.0) for case in cases]


def _with_engine(completer: Completer, params: HealingParams) -> Complete:
    def complete(case: Case) -> str:
        request = CompletionRequest(case.prefix, healing=params, stop=StopParams(max_new_tokens=48))
        result = completer.complete(request)
        return result.completions[0].text if result.completions else ""

    return complete


def _with_transformers(checkpoint: Path, completer: Completer) -> Complete:
    """``generate(token_healing=True)`` of the same weights in fp32, on the same prompts."""
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    end = completer.manifest.control.end[0]
    token = "<|endoftext|>"
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(checkpoint / "tokenizer.json"), bos_token=token, eos_token=token, pad_token=token
    )

    def complete(case: Case) -> str:
        ids = torch.tensor([[end, *completer.tokenizer.encode(case.prefix)]])
        with torch.no_grad():
            written = model.generate(
                ids, token_healing=True, tokenizer=tokenizer, max_new_tokens=48, do_sample=False, pad_token_id=end
            )[0].tolist()
        # It may have replaced the last tokens of the prompt. The completion is what follows the typed bytes.
        data = completer.tokenizer.vocabulary.bytes_of(written)
        return data[len(case.prefix.encode()) :].decode(errors="replace").split("\n", 1)[0]

    return complete


if __name__ == "__main__":
    main()
