"""The mixed distribution of `engine.runtime.copy_mixture`, from its formula and from the bytes of names."""

import re
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

NAME = rb"[A-Za-z0-9_\x80-\xff]"
CHAIN = rb"[A-Za-z0-9_.\x80-\xff]"


def mixed_distribution(
    ids: Sequence[int],
    model: NDArray[np.float64],
    weights: Sequence[float],
    source: Sequence[int],
    control: Collection[int],
    token_bytes: Sequence[bytes] | None = None,
    prompt: int = 0,
) -> NDArray[np.float64]:
    """Probabilities ``[V]`` after ``ids``, of which the first ``prompt`` end in the name at the cursor; ``model`` are
    those of the model alone. Without ``token_bytes`` there are no names.
    """
    tokens = token_bytes or [b"+"] * len(model)
    for length in range(min(len(weights), len(ids)), 0, -1):
        end = list(ids[-length:])
        places = [
            at
            for at in range(length, len(source))
            if list(source[at - length : at]) == end and source[at] not in control
        ]
        if places and ids[-1] not in control:
            weight = weights[length - 1] / len(places)
            mixed = model.copy()
            for at in places:
                mixed += weight * (_copied(ids, source, at, model, tokens, prompt) - model)
            return mixed
    return model


def _copied(
    ids: Sequence[int],
    source: Sequence[int],
    at: int,
    model: NDArray[np.float64],
    tokens: Sequence[bytes],
    prompt: int,
) -> NDArray[np.float64]:
    """What one place says about the next token; the model's own distribution if it says nothing."""
    token = source[at]
    rest = re.match(NAME + rb"*", tokens[token])
    assert rest is not None
    if _begins_in_a_name(ids, source, at, tokens, prompt):
        if not re.fullmatch(CHAIN, tokens[ids[-1]][-1:]):
            return model
        if rest[0] != tokens[token] or not rest[0]:
            share = np.where([_ends(data, rest[0], tokens) for data in tokens], model, 0.0)
            return share / share.sum() if share.sum() else model
        token = tokens.index(tokens[token])
    one = np.zeros_like(model)
    one[token] = 1.0
    return one


def _ends(data: bytes, rest: bytes, tokens: Sequence[bytes]) -> bool:
    """Whether a token that writes ``data`` ends the ``rest`` of a name, or is the longest that begins it."""
    longest = max((each for each in tokens if each and rest.startswith(each)), key=len, default=None)
    begins = data.startswith(rest) and not re.match(NAME, data[len(rest) :])
    return (begins and data != rest) or (not data and not rest) or data == longest


def _begins_in_a_name(ids: Sequence[int], source: Sequence[int], at: int, tokens: Sequence[bytes], prompt: int) -> bool:
    """Whether the match that ends before ``source[at]`` begins in the last name, or in that at the prompt's end."""
    begin = len(ids)
    back = 0
    while back < min(len(ids), at) and ids[-1 - back] == source[at - 1 - back]:
        back += 1
        if tokens[ids[-back]].strip():
            begin = len(ids) - back
    for end in {len(ids), prompt}:
        if name := _last_name(ids, end, tokens):
            first, last, has_more = name
            if first + has_more <= begin <= last:
                return True
    return False


def _last_name(ids: Sequence[int], end: int, tokens: Sequence[bytes]) -> tuple[int, int, bool] | None:
    """The first and the last token of the last name that begins in ``ids[:end]``, and whether more is in the first."""
    named = [index for index in range(end) if re.search(NAME, tokens[ids[index]])]
    if not named:
        return None
    # Each byte with the index of its token. A token that writes nothing stands between two names.
    text = [(bytes([byte]), index) for index, token in enumerate(ids) for byte in tokens[token] or b" "]
    is_chain = [re.fullmatch(CHAIN, byte) is not None for byte, _ in text]
    start = max(at for at, (_, index) in enumerate(text) if index == named[-1] and is_chain[at])
    stop = start + 1
    while start and is_chain[start - 1]:
        start -= 1
    while stop < len(text) and is_chain[stop]:
        stop += 1
    first = text[start][1]
    before = [byte for byte, index in text[:start] if index == first]
    return first, text[stop - 1][1], b"".join(before).strip() != b""
