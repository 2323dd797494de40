"""Training samples: pieces of documents, as plain text or rearranged for filling in the middle.

Cuts are made on characters, so they fall inside words as a cursor does. The three arrangements, with `+` between
separately encoded parts:

    plain   text + <eot>
    PSM     <pre> + prefix + <suf> + suffix + <mid> + middle + <eot>
    SPM     <pre><suf> + suffix + <mid> + (prefix middle as one text) + <eot>

The engine heals after <mid> in PSM and cuts the prefix at a stable boundary. With this tokenizer that is the end of the
line before, because the line break and the indentation after it are one token. So nearly half of the PSM samples are
cut there, and some at the start of the line. In SPM the engine heals where prefix and middle meet, so they are one
text.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from onnx_export.train.corpus import Document
from onnx_export.train.renaming import Renamer
from onnx_export.train.tokenizer import ControlIds

MIN_PIECE_CHARS = 1_400
MAX_PIECE_CHARS = 4_400  # about 1,000 tokens: one piece fits the context
FIM_RATE = 0.5
SPM_SHARE = 0.5
BEFORE_BREAK_SHARE = 0.45
LINE_START_SHARE = 0.15
LINE_END_SHARE = 0.6
MAX_MIDDLE_CHARS = 400
NEIGHBOUR_RATE = 0.08

Part = str | int  # text to encode, or a control id
CutPlace = Literal["anywhere", "before_break", "line_start"]


@dataclass(frozen=True)
class Sample:
    """Parts in order. `cuttable` says that the sample stays valid if its end is dropped."""

    parts: tuple[Part, ...]
    cuttable: bool


@dataclass(frozen=True)
class Cut:
    """A piece of text cut in three."""

    prefix: str
    middle: str
    suffix: str


def epoch_samples(
    documents: Sequence[Document],
    ids: ControlIds,
    rng: np.random.Generator,
    fim_rate: float = FIM_RATE,
    renamer: Renamer | None = None,
    spm_share: float = SPM_SHARE,
) -> Iterator[Sample]:
    """One pass over the documents in random order, cut at new places every time; yields samples.

    Of a document with weight 0.2 a fifth of the pieces is used; a document with weight 2 is used twice. With a
    `renamer`, some of the pieces have other names.
    """
    for index in rng.permutation(len(documents)):
        document = documents[index]
        for turn in range(math.ceil(document.weight)):
            for piece in pieces(document.text, rng):
                if rng.random() < document.weight - turn:
                    if renamer is not None and rng.random() < renamer.rate:
                        piece = renamer.rename(piece, rng)
                    yield _sample(documents, int(index), piece, ids, rng, fim_rate, spm_share)


def _sample(
    documents: Sequence[Document],
    index: int,
    piece: str,
    ids: ControlIds,
    rng: np.random.Generator,
    fim_rate: float,
    spm_share: float,
) -> Sample:
    if rng.random() >= NEIGHBOUR_RATE:
        return make_sample(piece, (), ids, rng, fim_rate, spm_share)
    header = _neighbour_header(documents, index, ids, rng)
    return make_sample(piece[: MAX_PIECE_CHARS - 1_600], header, ids, rng, fim_rate, spm_share)


def make_sample(
    piece: str,
    header: tuple[Part, ...],
    ids: ControlIds,
    rng: np.random.Generator,
    fim_rate: float = FIM_RATE,
    spm_share: float = SPM_SHARE,
) -> Sample:
    """Arrange one piece at random as plain text, PSM or SPM, after `header` (context from another file, or empty).

    `fim_rate` of the samples are rearranged, and of these `spm_share` as SPM.
    """
    if rng.random() >= fim_rate:
        return Sample((*header, piece, ids.end_of_text), cuttable=True)
    if rng.random() < spm_share:
        return Sample((*header, *spm_parts(cut_piece(piece, "anywhere", rng), ids)), cuttable=False)
    draw = rng.random()
    place: CutPlace = "anywhere"
    if draw < BEFORE_BREAK_SHARE + LINE_START_SHARE:
        place = "before_break" if draw < BEFORE_BREAK_SHARE else "line_start"
    return Sample((*header, *psm_parts(cut_piece(piece, place, rng), ids)), cuttable=False)


def psm_parts(cut: Cut, ids: ControlIds) -> tuple[Part, ...]:
    """Prefix, suffix, middle."""
    head = (ids.fim_prefix, cut.prefix, ids.fim_suffix, cut.suffix, ids.fim_middle)
    return (*head, cut.middle, ids.end_of_text)


def spm_parts(cut: Cut, ids: ControlIds) -> tuple[Part, ...]:
    """Suffix, prefix, middle; prefix and middle are one text."""
    return (ids.fim_prefix, ids.fim_suffix, cut.suffix, ids.fim_middle, cut.prefix + cut.middle, ids.end_of_text)


def cut_piece(piece: str, place: CutPlace, rng: np.random.Generator) -> Cut:
    """Cut at a random character, or where that character's line starts, or before the line breaks before that line.

    The middle ends after a few whole lines, or anywhere; short middles are the common case, as in an editor.
    """
    start = int(rng.integers(0, len(piece) + 1))
    end = _middle_end(piece, start, rng)
    if place != "anywhere":
        start = piece.rfind("\n", 0, start) + 1
    if place == "before_break":
        start = len(piece[:start].rstrip("\n"))
    return Cut(piece[:start], piece[start:end], piece[end:])


def pieces(text: str, rng: np.random.Generator) -> Iterator[str]:
    """Consecutive pieces of log-uniform length, mostly ending at a line end; together they are the text.

    Some pieces end inside a line, so that the model also sees text that stops at arbitrary places.
    """
    start = 0
    while start < len(text):
        length = math.exp(rng.uniform(math.log(MIN_PIECE_CHARS), math.log(MAX_PIECE_CHARS)))
        end = min(len(text), start + int(length))
        newline = text.find("\n", end)
        if newline != -1 and newline - end < 200 and rng.random() < 0.9:
            end = newline + 1
        yield text[start:end]
        start = end


def _middle_end(piece: str, start: int, rng: np.random.Generator) -> int:
    if rng.random() < LINE_END_SHARE:
        end = start
        for _ in range(int(rng.geometric(0.5))):
            newline = piece.find("\n", end + 1)
            if newline == -1:
                return len(piece)
            end = newline
        return end
    length = math.exp(rng.uniform(0.0, math.log(MAX_MIDDLE_CHARS)))
    return min(len(piece), start + int(length))


def _neighbour_header(
    documents: Sequence[Document], index: int, ids: ControlIds, rng: np.random.Generator
) -> tuple[Part, ...]:
    """`<sep> path line, snippet, <sep> path line`: a snippet of a file nearby in path order, then the file itself."""
    other = documents[(index + int(rng.integers(1, 6))) % len(documents)]
    start = other.text.rfind("\n", 0, int(rng.integers(0, len(other.text)))) + 1
    snippet = other.text[start : start + int(rng.integers(200, 1_200))]
    return (
        ids.file_separator,
        f"{other.path}\n{snippet}",
        ids.file_separator,
        f"{documents[index].path}\n",
    )
