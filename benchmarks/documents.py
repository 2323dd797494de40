"""What is completed in the benchmarks: our own source files, cut where programmers stop typing."""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import engine
from engine import Completer

PREFIX_CHARACTERS = 2500
"""Characters before a cut, from a line start: some 70 lines of a file."""
SUFFIX_CHARACTERS = 800
SEED = 2403


@dataclass(frozen=True, slots=True)
class Cut:
    """A document cut inside a token; ``typed_next`` is the character that the programmer typed next."""

    prefix: str
    suffix: str
    typed_next: str

    def fresh(self, number: int) -> "Cut":
        """The same cut with a first line of its own on both sides, so that no other cut in a cache can be reused."""
        # The number comes first on both lines, so the first tokens differ whichever side a model reads first.
        return replace(self, prefix=f"{number:06d} = 0\n{self.prefix}", suffix=f"\n{number:06d} = 0\n{self.suffix}")


def own_sources() -> list[str]:
    """The engine's source files, in order of their paths: real code, the same on every machine with this version."""
    folder = Path(engine.__file__).parent
    return [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))]


def cuts(completer: Completer, count: int) -> list[Cut]:
    """``count`` positions strictly inside a token of a line's encoding, drawn with a fixed seed."""
    generator = random.Random(SEED)
    sources = [source for source in own_sources() if len(source) > PREFIX_CHARACTERS]
    found: list[Cut] = []
    while len(found) < count:
        text = generator.choice(sources)
        line_start = text.rfind("\n", 0, generator.randrange(PREFIX_CHARACTERS, len(text))) + 1
        line_end = text.find("\n", line_start)
        inside = inside_tokens(completer, text[line_start:line_end])
        if not inside:
            continue
        cursor = line_start + generator.choice(inside)
        start = text.find("\n", max(0, cursor - PREFIX_CHARACTERS)) + 1
        suffix = text[line_end + 1 : line_end + 1 + SUFFIX_CHARACTERS]
        found.append(Cut(text[min(start, line_start) : cursor], suffix, text[cursor]))
    return found


def inside_tokens(completer: Completer, line: str) -> list[int]:
    """Indices of ``line`` at which typing may stop inside a token, between two characters of a word."""
    boundaries, position = {0}, 0
    for token in completer.tokenizer.encode(line):
        position += len(completer.tokenizer.vocabulary.token_bytes[token])
        boundaries.add(position)
    if not line.isascii():  # bytes are not characters there
        return []
    return [
        index
        for index in range(1, len(line))
        if index not in boundaries and line[index - 1].isalnum() and line[index].isalnum()
    ]
