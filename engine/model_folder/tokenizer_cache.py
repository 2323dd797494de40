"""What was read from large tokenizer files before, kept in the user's cache as plain arrays.

Decoding 6 MB of JSON and following 150,000 merges takes longer than everything else that a load computes. The result
depends only on the file's text, on the ids that the manifest calls control tokens, and on our rules. The name of a
cached file is a hash of all three; its first bytes are a hash of the rest. A file that is damaged, cut short or of
something else is not used. A cache that cannot be read or written costs time only.
"""

import hashlib
import io
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.model_folder.user_cache import keep_file, user_cache_folder
from engine.text import spellings, vocabulary
from engine.text.vocabulary import KINDS, TokenizerFile, Vocabulary, merge_pairs, read_tokenizer, reading_parts

LEAST_CHARACTERS = 3 << 19
"""Shorter files, such as the bundled model's, are read in a moment anyway."""
MOST_BYTES = 256 << 20
"""A larger cached file is not read; those of real tokenizers have up to 20 MB."""
MOST_FILES = 8
"""Number of cached files; the oldest ones are deleted."""
_DIGEST_BYTES = hashlib.sha256().digest_size

Arrays = Mapping[str, NDArray[Any]]


def known_tokenizer(
    tokenizer_json: str, control: Collection[int], folder: Path | None = None
) -> tuple[TokenizerFile, Vocabulary]:
    """What `engine.text.vocabulary.read_tokenizer` returns, from the cache if it is there, else kept for the next time.

    ``folder`` is the folder of the cache (default: ours in the user's cache). Raises as `read_tokenizer`.
    """
    folder = user_cache_folder("tokenizers") if folder is None else folder
    if folder is None or len(tokenizer_json) < LEAST_CHARACTERS:
        return read_tokenizer(tokenizer_json, control)
    try:
        place = folder / _name(tokenizer_json, control)
    except OSError:  # an installation without our sources
        return read_tokenizer(tokenizer_json, control)
    found = _load(place)
    if found is None:
        file, words = found = read_tokenizer(tokenizer_json, control)
        with reading_parts():
            merges = merge_pairs(file)
        _keep(place, file, merges, words)
    return found


def _name(tokenizer_json: str, control: Collection[int]) -> str:
    digest = hashlib.sha256(_rules())
    digest.update(json.dumps(sorted(control)).encode())
    digest.update(tokenizer_json.encode("utf-8", "surrogatepass"))
    return digest.hexdigest() + ".tokenizer"


@cache
def _rules() -> bytes:
    """A hash of the code that reads tokenizers, so that a cached file never outlives the rules that made it."""
    digest = hashlib.sha256()
    for source in (__file__, spellings.__file__, vocabulary.__file__):
        digest.update(Path(source).read_bytes())
    return digest.digest()


def _load(place: Path) -> tuple[TokenizerFile, Vocabulary] | None:
    try:
        if place.stat().st_size > MOST_BYTES:
            return None
        data = place.read_bytes()
        if hashlib.sha256(data[_DIGEST_BYTES:]).digest() != data[:_DIGEST_BYTES]:
            return None
        with np.load(io.BytesIO(data[_DIGEST_BYTES:]), allow_pickle=False) as arrays:
            return _unpacked(arrays)
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, RecursionError):
        return None  # not kept yet, or damaged: the tokenizer's own file is read


def _keep(place: Path, file: TokenizerFile, merges: Sequence[tuple[str, str]], words: Vocabulary) -> None:
    """Write a cached file, complete or not at all, and delete the oldest ones."""
    stream = io.BytesIO()
    # A file with a lone surrogate, or nested very deep, is not kept but read anew each time.
    with suppress(OSError, ValueError, RecursionError):
        np.savez(stream, allow_pickle=False, **_packed(file, merges, words))
        data = stream.getvalue()
        for old in sorted(place.parent.glob("*"), key=_age)[: 1 - MOST_FILES]:
            old.unlink(missing_ok=True)
        keep_file(place, hashlib.sha256(data).digest() + data)


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _packed(file: TokenizerFile, merges: Sequence[tuple[str, str]], words: Vocabulary) -> dict[str, NDArray[Any]]:
    # The parts of merges are entries, except where an entry was dropped for a control token.
    number = {text: at for at, text in enumerate(file.entries)}
    for part in chain.from_iterable(merges):
        number.setdefault(part, len(number))
    model = {name: value for name, value in file.model.items() if name not in ("vocab", "merges")}
    small = {
        "raw": {name: value for name, value in file.raw.items() if name not in ("model", "added_tokens")},
        "model": model,
        "kind": file.kind,
        "ordinary": file.ordinary,
        "control": sorted(file.control),
        "dropped": sorted(file.dropped),
        "longest": words.longest,
        "missing": sorted(words.missing),
    }
    return {
        "small": _bytes(json.dumps(small).encode()),
        "texts": _bytes("".join(number).encode()),
        "text_ends": _ends(number.keys()),
        "entry_ids": np.fromiter(file.entries.values(), np.int32, len(file.entries)),
        "merges": np.array([(number[left], number[right]) for left, right in merges], np.int32).reshape(-1, 2),
        "token_bytes": _bytes(b"".join(words.token_bytes)),
        "token_ends": _ends(words.token_bytes),
        "control_ids": np.array(sorted(words.control_ids), np.int32),
        "candidate_ids": words.candidate_ids,
    }


def _unpacked(arrays: Arrays) -> tuple[TokenizerFile, Vocabulary]:
    small = json.loads(arrays["small"].tobytes())
    joined = arrays["texts"].tobytes().decode()
    texts = [joined[start:end] for start, end in _spans(arrays["text_ends"], len(joined))]
    data = arrays["token_bytes"].tobytes()
    token_bytes = tuple([data[start:end] for start, end in _spans(arrays["token_ends"], len(data))])
    entry_ids = _within(arrays["entry_ids"], len(token_bytes)).tolist()
    if small["kind"] not in KINDS or len(entry_ids) > len(texts):
        raise ValueError("the entries do not fit together")
    left, right = _within(arrays["merges"], len(texts)).T.tolist()
    text_of = texts.__getitem__
    model = {**small["model"], "merges": list(zip(map(text_of, left), map(text_of, right), strict=True))}
    candidates = _within(arrays["candidate_ids"], len(token_bytes))
    candidates.flags.writeable = False
    file = TokenizerFile(
        raw=small["raw"],
        model=model,
        kind=small["kind"],
        entries=dict(zip(texts, entry_ids, strict=False)),
        ordinary=small["ordinary"],
        control=frozenset(small["control"]),
        dropped=frozenset(small["dropped"]),
    )
    control = frozenset(_within(arrays["control_ids"], len(token_bytes)).tolist())
    missing = frozenset(small["missing"])
    return file, Vocabulary(token_bytes, control, candidates, small["longest"], file.kind, missing)


def _bytes(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def _ends(parts: Collection[str] | Collection[bytes]) -> NDArray[np.int64]:
    return np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))


def _spans(ends: NDArray[Any], length: int) -> Sequence[tuple[int, int]]:
    """The parts of a sequence of ``length`` that end at ``ends``. Raises `ValueError` if they do not fill it."""
    steps = np.diff(ends, prepend=0)
    if ends.dtype != np.int64 or ends.ndim != 1 or (steps < 0).any() or (ends[-1] if len(ends) else 0) != length:
        raise ValueError("the parts do not fill the whole")
    found = ends.tolist()
    return list(zip([0, *found], found, strict=False))


def _within(numbers: NDArray[Any], size: int) -> NDArray[np.int32]:
    """``numbers``. Raises `ValueError` if one is not from 0 to ``size - 1``."""
    if numbers.dtype != np.int32 or (numbers.size and not (numbers.min() >= 0 and numbers.max() < size)):
        raise ValueError("a number is out of range")
    return numbers
