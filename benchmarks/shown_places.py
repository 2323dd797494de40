"""What is shown at places of files that the model has not seen."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import Completer, CompletionResult
from lsp_server.code.parsing import known, parses, window_at
from lsp_server.commands.evaluation import matched_characters
from lsp_server.completion.prompt import Code, Place, build_request, code_at
from lsp_server.completion.shown import fitted
from lsp_server.context.cross_file import Extra
from lsp_server.documents.documents import Document
from lsp_server.settings import Settings

SHORTEST = 1000
LANGUAGES = {
    ".py": "python",
    ".ts": "typescript",
    ".js": "javascript",
    ".go": "go",
    ".c": "c",
    ".lua": "lua",
    ".rs": "rust",
    ".cpp": "cpp",
    ".html": "html",
    ".css": "css",
    ".sh": "shellscript",
    ".md": "markdown",
    ".java": "java",
    ".rb": "ruby",
    ".php": "php",
    ".cs": "csharp",
    ".kt": "kotlin",
    ".swift": "swift",
}
"""Languages by the ending of their files; a new one goes to the end, so that the others keep their places."""
MADE = ("*.d.ts", "*.min.*")
"""Files that no person writes."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A file cut as if everything up to there had just been typed: the rest of the line is not there yet."""

    code: Code
    document: Document
    follows: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown at one place: characters, how many of them are kept, and tokens that were decoded for it.

    ``breaks`` says that the code around parsed before and does not parse with it.
    """

    characters: int
    kept: int
    tokens: int
    breaks: bool

    @property
    def right(self) -> bool:
        return 0 < self.characters == self.kept


def cuts(folders: Sequence[Path], count: int, seed: int) -> Iterator[Cut]:
    """``count`` places in the files of ``folders``, equally many in each language."""
    generator = random.Random(seed)
    for suffix, language in LANGUAGES.items():
        paths = sorted(path for folder in folders for path in folder.rglob("*" + suffix) if path.is_file())
        paths = [path for path in paths if not any(map(path.match, MADE))]
        texts = [path.read_text(encoding="utf-8", errors="ignore") for path in paths]
        texts = [text for text in texts if len(text) > SHORTEST]
        for _ in range(count if texts else 0):
            text = generator.choice(texts)
            at = generator.randrange(SHORTEST // 2, len(text))
            end = text.find("\n", at)
            after = text[end if end >= 0 else len(text) :]
            document = Document.create(f"file:///a{suffix}", language, 1, text[:at] + after)
            yield Cut(code_at(document, Place(at, at, "")), document, text[at:])


def complete(completer: Completer, cut: Cut, least: float) -> CompletionResult:
    """What the model writes there for an automatic request, with ``least`` as `minConfidence`."""
    settings = Settings(min_confidence=least)
    return completer.complete(
        build_request(cut.document, cut.code, settings, Extra(), candidates=1, automatic=True, budget_ms=60_000.0)
    )


def judge(result: CompletionResult, cut: Cut, *, filtered: bool = True) -> Shown:
    """How much of it is shown, and right."""
    tokens = sum(completion.tokens for completion in result.completions)
    completions = (fitted(result, cut.code) if filtered else result).completions
    if not completions:
        return Shown(0, 0, tokens, False)
    best = completions[0]
    kept = matched_characters(best.text, cut.follows)
    return Shown(len(best.text), kept, tokens, _breaks(cut.code, best.text))


def _breaks(code: Code, text: str) -> bool:
    window = window_at(code.prefix, code.suffix)
    grammar = code.syntax.grammar
    if not known(grammar) or not parses(window.prefix + window.suffix, grammar):
        return False
    return not parses(window.prefix + text + window.suffix, grammar)
