"""How good each strategy's completions are on held-out files.

    python -m benchmarks.cases FOLDER CASES.jsonl --count 300
    python -m benchmarks.strategies CASES.jsonl [--model DIR]

For each strategy it prints the share of first candidates whose line is exactly that of the reference, the characters
that a user would have kept, the share of cases in which one of three candidates is exact, and how many of three
candidates are different. The model must not have been trained on the files. ``midtoken bench batches`` measures the
time of strategies.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from benchmarks.arguments import parser_for
from engine import Completer, CompletionRequest, SamplingParams, StopParams
from lsp_server.commands.evaluation import Case, first_line, matched_characters, read_cases

PROMPT_CHARACTERS = 1500
CANDIDATES = 3
VARIANTS: Mapping[str, SamplingParams] = {
    "greedy": SamplingParams(),
    "greedy, repetition penalty 1.1": SamplingParams(repetition_penalty=1.1),
    "greedy, no-repeat 4-gram": SamplingParams(no_repeat_ngram=4),
    "T 0.2": SamplingParams("sample", temperature=0.2),
    "T 0.6": SamplingParams("sample", temperature=0.6),
    "T 1": SamplingParams("sample"),
    "T 0.8, top-k 50, top-p 0.95": SamplingParams("sample", temperature=0.8, top_k=50, top_p=0.95),
    "top-p 0.95": SamplingParams("sample", top_p=0.95),
    "min-p 0.1": SamplingParams("sample", min_p=0.1),
    "top-n-sigma 1": SamplingParams("sample", top_n_sigma=1.0),
    "eta 3e-4": SamplingParams("sample", eta=3e-4),
    "edt": SamplingParams("edt"),
    "adapt": SamplingParams("adapt"),
    "kl": SamplingParams("kl"),
    "entropy-gate": SamplingParams("entropy-gate"),
    "sed": SamplingParams("sed"),
    "sed, ratio 0.5": SamplingParams("sed", sed_ratio=0.5),
    "beam 3, alpha 0.6": SamplingParams("beam", beam_width=3),
    "beam 4, alpha 0": SamplingParams("beam", length_alpha=0.0),
    "beam 4, alpha 0.6": SamplingParams("beam"),
    "beam 4, alpha 1": SamplingParams("beam", length_alpha=1.0),
    "beam 8, alpha 0.6": SamplingParams("beam", beam_width=8),
    "best-first 4, alpha 0.6": SamplingParams("best-first"),
    "branch": SamplingParams("branch"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The candidates of a strategy for one case."""

    case: Case
    texts: tuple[str, ...]

    @property
    def first_is_exact(self) -> bool:
        """Whether the first candidate's line is the reference's."""
        return first_line(self.texts[0] if self.texts else "") == first_line(self.case.reference)

    @property
    def any_is_exact(self) -> bool:
        """Whether one candidate's line is."""
        return any(first_line(text) == first_line(self.case.reference) for text in self.texts)


def main() -> None:
    """Print one row for each strategy."""
    parser = parser_for(__doc__, model=True)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--max-new-tokens", type=int, default=24)
    args = parser.parse_args()
    cases = read_cases(args.cases.read_text(encoding="utf-8").splitlines(), args.cases.name)
    answers: dict[str, list[Answer]] = {name: [] for name in VARIANTS}
    completer = Completer.load(args.model)
    stop = StopParams(max_new_tokens=args.max_new_tokens)
    for number, case in enumerate(cases):
        request = CompletionRequest(case.prefix[-PROMPT_CHARACTERS:], stop=stop)
        for name, params in VARIANTS.items():
            answers[name].append(_answer(completer, case, replace(request, sampling=replace(params, seed=number))))
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {len(cases)}", end="", file=sys.stderr)
    print(f"{len(cases)} cases, single line, up to {args.max_new_tokens} tokens, {CANDIDATES} candidates\n")
    print("| strategy | exact line | characters kept | exact among 3 | different of 3 |")
    print("|---|---|---|---|---|")
    for name, found in answers.items():
        print(_row(name, found))


def _answer(completer: Completer, case: Case, request: CompletionRequest) -> Answer:
    several = completer.complete(replace(request, max_completions=CANDIDATES))
    return Answer(case, tuple(completion.text for completion in several.completions))


def _row(name: str, answers: Sequence[Answer]) -> str:
    exact = mean(answer.first_is_exact for answer in answers)
    kept = mean(
        matched_characters(answer.texts[0] if answer.texts else "", answer.case.reference) for answer in answers
    )
    among = mean(answer.any_is_exact for answer in answers)
    different = mean(len({first_line(text) for text in answer.texts}) / CANDIDATES for answer in answers)
    return f"| {name} | {exact:.1%} | {kept:.2f} | {among:.1%} | {different:.0%} |"


if __name__ == "__main__":
    main()
