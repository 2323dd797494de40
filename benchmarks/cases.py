"""Cases for ``midtoken evaluate`` from real files: places where someone might stop typing.

    python -m benchmarks.cases FOLDER OUT.jsonl --count 300 --cut identifier --language go

Give it files that the model was not trained on. The same seed gives the same cases. ``--before`` and ``--after`` keep
only that many characters around the cursor, for models that read slowly.
"""

import json
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmarks.arguments import parser_for

_WORD = re.compile(r"\w")
CUTS = {
    # Between two characters of an identifier or keyword.
    "identifier": re.compile(r"(?<=\w)(?=\w)"),
    # Before the first character of a word.
    "word": re.compile(r"(?<!\w)(?=[A-Za-z_])"),
    # Anywhere in a line that is not its end.
    "any": re.compile(r"(?=[^\n])"),
    # At the start of the line, before its indentation.
    "line": re.compile(r"\A"),
    # After the indentation of the first line of a block, whose other lines are left out.
    "body": re.compile(r"(?=\S)"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """Which files belong to a language, the beginnings of lines that are not code, and the ends of lines that open a
    block.
    """

    pattern: str
    no_code: tuple[str, ...]
    opens: tuple[str, ...]


_SLASHES, _BRACE = ("//", "/*", "*"), ("{",)
LANGUAGES = {
    "python": Source("*.py", ("#", '"', "'"), (":",)),
    "typescript": Source("*.ts", _SLASHES, _BRACE),
    "go": Source("*.go", _SLASHES, _BRACE),
    "c": Source("*.c", _SLASHES, _BRACE),
    "lua": Source("*.lua", ("--",), (")", " do", " then", "else")),
}


def main() -> int:
    """Write the cases; exit status 1 if the folder has too few places."""
    parser = parser_for(__doc__, seed=True)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--cut", choices=sorted(CUTS), default="identifier")
    parser.add_argument("--language", choices=sorted(LANGUAGES), default="python")
    parser.add_argument("--again", action="store_true", help="only in words that stand in the file above")
    parser.add_argument("--suffix", action="store_true", help="give the text after the cursor's line too")
    parser.add_argument("--path", action="store_true", help="give the file's path in FOLDER too")
    parser.add_argument("--before", type=int, metavar="N", help="give at most so many characters before the cursor")
    parser.add_argument("--after", type=int, metavar="N", help="give at most so many characters after it")
    args = parser.parse_args()
    found = list(places(args.folder, CUTS[args.cut], args.language))
    if args.again:
        found = [(path, offset) for path, offset in found if stands_above(path, offset)]
    if len(found) < args.count:
        print(f"{args.folder} has {len(found)} places of this kind; ask for fewer", file=sys.stderr)
        return 1
    drawn = random.Random(args.seed).sample(found, args.count)
    with args.out.open("w", encoding="utf-8") as stream:
        for path, offset in drawn:
            case = case_at(path, offset, args.before, args.after if args.suffix else 0, whole_body=args.cut != "body")
            case["language"] = args.language
            if args.path:
                case["path"] = path.relative_to(args.folder).as_posix()
            stream.write(json.dumps(case, ensure_ascii=False) + "\n")
    return 0


def case_at(
    path: Path, offset: int, before: int | None, after: int | None, *, whole_body: bool = True
) -> dict[str, str]:
    """A file cut at an offset, with at most ``before`` characters before the cursor and ``after`` after its line, or
    after the block that begins there.
    """
    text = path.read_text(encoding="utf-8")
    end = text.find("\n", offset)
    return {
        "id": f"{path.name}:{offset}",
        "prefix": nearest_before(text[:offset], before),
        "suffix": text[end if whole_body else end_of_body(text, offset) :][:after],
        "reference": text[offset:end],
    }


def end_of_body(text: str, offset: int) -> int:
    """Where the lines end that are indented at least as far as the line of ``offset``, which is at its first word."""
    indent = offset - text.rfind("\n", 0, offset) - 1
    end = text.find("\n", offset)
    start = end + 1
    while 0 < start < len(text):
        stop = text.find("\n", start)
        line = text[start : stop if stop >= 0 else len(text)]
        if line.strip():
            if len(line) - len(line.lstrip()) < indent:
                break
            end = start + len(line)
        start = stop + 1
    return end


def nearest_before(prefix: str, characters: int | None) -> str:
    """The end of a text, at most ``characters``, from a line start if there is one; all of it for None."""
    if characters is None or len(prefix) <= characters:
        return prefix
    start = len(prefix) - characters
    line = prefix.find("\n", start - 1)
    return prefix[start if line < 0 else line + 1 :]


@lru_cache(maxsize=1)
def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def stands_above(path: Path, offset: int) -> bool:
    """Whether the word at a place also occurs in a line above it."""
    text = _text_of(path)
    start, end = offset, offset
    while start and _WORD.match(text[start - 1]):
        start -= 1
    while end < len(text) and _WORD.match(text[end]):
        end += 1
    line = text.rfind("\n", 0, offset) + 1
    return re.search(rf"\b{re.escape(text[start:end])}\b", text[:line]) is not None


def places(folder: Path, cut: re.Pattern[str], language: str = "python") -> Iterator[tuple[Path, int]]:
    """Files and offsets in lines of code, without comments, inner lines of doc strings, and lines too long to type.

    A cut is after the first character of the line's code, except for cuts at the start of a line or of a block.
    """
    source = LANGUAGES[language]
    for path in sorted(folder.rglob(source.pattern)):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        start, above = 0, ""
        for line in text.split("\n")[:-1]:
            code = line.strip()
            if 4 <= len(code) <= 120 and not code.startswith(source.no_code):
                yield from ((path, start + end) for end in _cuts(line, above, cut, source))
            start, above = start + len(line) + 1, line


def _cuts(line: str, above: str, cut: re.Pattern[str], source: Source) -> Iterator[int]:
    """Offsets in a line of code, below the line ``above``."""
    ends = (match.start() for match in cut.finditer(line))
    if cut is CUTS["line"]:
        yield from ends
    elif cut is not CUTS["body"]:
        yield from (end for end in ends if line[:end].strip())
    elif above.endswith(source.opens) and len(above) - len(above.lstrip()) < (first := next(ends)):
        yield first


if __name__ == "__main__":
    sys.exit(main())
