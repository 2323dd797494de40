"""What ending completions at the word that the model doubts costs and spares, in code and in comments and strings.

    python -m benchmarks.confidence FOLDER [--model DIR] [--cases 2000]

Files are cut anywhere, as if everything up to there had just been typed: the rest of the line is not there yet, the
lines below are. Completions go through the server's filters. *kept* are the leading characters that the file has too,
as a share of those kept where nothing is cut; a completion is *right* if all of it is kept. Files must not have been
trained on, nor be used to judge the model elsewhere.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.arguments import parser_for
from engine import Completer
from lsp_server.commands.evaluation import matched_characters
from lsp_server.completion.prompt import Code, Place, build_request, code_at
from lsp_server.completion.shown import fitted
from lsp_server.context.cross_file import Extra
from lsp_server.documents.documents import Document
from lsp_server.settings import Settings

THRESHOLDS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
SHORTEST = 1000
USEFUL = 3
"""Characters that are worth a key."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown at one place: characters, how many of them are kept, tokens that were decoded for it."""

    characters: int
    kept: int
    tokens: int

    @property
    def right(self) -> bool:
        return 0 < self.characters == self.kept


def main() -> None:
    """Print one table for code, one for comments and strings."""
    parser = parser_for(__doc__, model=True, seed=True)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=2000)
    args = parser.parse_args()
    texts = [path.read_text(encoding="utf-8") for path in sorted(args.folder.rglob("*.py"))]
    places = _places([text for text in texts if len(text) > SHORTEST], args.cases, random.Random(args.seed))
    completer = Completer.load(args.model)
    results: dict[bool, dict[float, list[Shown]]] = {False: defaultdict(list), True: defaultdict(list)}
    for code, document, follows in places:
        for least in THRESHOLDS:
            found = _complete(completer, code, document, follows, least)
            results[code.state.inside is not None][least].append(found)
    for in_prose, name in ((False, "code"), (True, "comments and strings")):
        print(f"\n{name}: {len(results[in_prose][0.0])} places\n\n{_HEAD}")
        for least in THRESHOLDS:
            print(_row(results[in_prose], least))


_HEAD = "   least   shown   right   right of all   useful    kept   wrong per kept   tokens"


def _places(texts: Sequence[str], count: int, generator: random.Random) -> Iterator[tuple[Code, Document, str]]:
    for _ in range(count):
        text = generator.choice(texts)
        cut = generator.randrange(SHORTEST // 2, len(text))
        end = text.find("\n", cut)
        document = Document.create("file:///a.py", "python", 1, text[:cut] + text[end if end >= 0 else len(text) :])
        yield code_at(document, Place(cut, cut, "")), document, text[cut:]


def _complete(completer: Completer, code: Code, document: Document, follows: str, least: float) -> Shown:
    request = build_request(document, code, Settings(), Extra(), candidates=1, automatic=True, budget_ms=60_000.0)
    request = replace(request, stop=replace(request.stop, min_confidence=least))
    result = completer.complete(request)
    text = "".join(completion.text for completion in fitted(result, code).completions)
    return Shown(len(text), matched_characters(text, follows), sum(c.tokens for c in result.completions))


def _row(results: Mapping[float, Sequence[Shown]], least: float) -> str:
    places = results[least]
    shown = [place for place in places if place.characters]
    right, kept = sum(place.right for place in shown), sum(place.kept for place in shown)
    wrong = sum(place.characters for place in shown) - kept
    shares = (
        len(shown) / len(places),
        right / max(1, len(shown)),
        right / len(places),
        sum(place.kept >= USEFUL for place in shown) / len(places),
        kept / max(1, sum(place.kept for place in results[0.0])),
    )
    tokens = sum(place.tokens for place in places) / len(places)
    cells = "{:>8.1%}{:>8.1%}{:>15.1%}{:>9.1%}{:>8.1%}".format(*shares)
    return f"{least:>8.2f}{cells}{wrong / max(1, kept):>17.2f}{tokens:>9.1f}"


if __name__ == "__main__":
    main()
