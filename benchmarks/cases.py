"""Cases for ``midtoken evaluate`` from real files: places where someone might stop typing.

    python -m benchmarks.cases FOLDER OUT.jsonl --count 300 --cut identifier

Give it files that the model was not trained on. The same seed gives the same cases.
"""

import json
import random
import re
import sys
from collections.abc import Iterator
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
}


def main() -> int:
    """Write the cases; exit status 1 where the folder has too few places."""
    parser = parser_for(__doc__, seed=True)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--cut", choices=sorted(CUTS), default="identifier")
    parser.add_argument("--again", action="store_true", help="only in words that stand in the file above")
    parser.add_argument("--suffix", action="store_true", help="give the text after the cursor's line too")
    parser.add_argument("--path", action="store_true", help="give the file's path in FOLDER too")
    args = parser.parse_args()
    generator = random.Random(args.seed)
    found = list(places(args.folder, CUTS[args.cut]))
    if args.again:
        found = [(path, offset) for path, offset in found if stands_above(path, offset)]
    if len(found) < args.count:
        print(f"{args.folder} has {len(found)} places of this kind; ask for fewer", file=sys.stderr)
        return 1
    with args.out.open("w", encoding="utf-8") as stream:
        for path, offset in generator.sample(found, args.count):
            text = path.read_text(encoding="utf-8")
            end = text.find("\n", offset)
            case = {
                "id": f"{path.name}:{offset}",
                "prefix": text[:offset],
                "suffix": text[end:] if args.suffix else "",
                "reference": text[offset:end],
                "language": "python",
                **({"path": path.relative_to(args.folder).as_posix()} if args.path else {}),
            }
            stream.write(json.dumps(case, ensure_ascii=False) + "\n")
    return 0


@lru_cache(maxsize=1)
def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def stands_above(path: Path, offset: int) -> bool:
    """Whether the word at a place stands in a line above it, too."""
    text = _text_of(path)
    start, end = offset, offset
    while start and _WORD.match(text[start - 1]):
        start -= 1
    while end < len(text) and _WORD.match(text[end]):
        end += 1
    line = text.rfind("\n", 0, offset) + 1
    return re.search(rf"\b{re.escape(text[start:end])}\b", text[:line]) is not None


def places(folder: Path, cut: re.Pattern[str]) -> Iterator[tuple[Path, int]]:
    """Files and offsets in lines of code, without comments, inner lines of doc strings, and lines too long to type."""
    for path in sorted(folder.rglob("*.py")):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        start = 0
        for line in text.split("\n")[:-1]:
            code = line.strip()
            if 4 <= len(code) <= 120 and not code.startswith(("#", '"', "'")):
                yield from (
                    (path, start + match.start()) for match in cut.finditer(line) if line[: match.start()].strip()
                )
            start += len(line) + 1


if __name__ == "__main__":
    sys.exit(main())
