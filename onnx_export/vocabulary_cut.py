"""A vocabulary reduced to some of its entries. What these entries write does not change.

Byte-pair encoding builds an entry from smaller ones. So with each kept entry, all entries from which it is built (when
it is encoded alone) are kept too. Then a text that the whole vocabulary encodes with kept entries only is encoded with
the same entries by the reduced vocabulary: every merge is still there, and no merge is new. Entries of one byte stay,
so every text that could be encoded still can be. Added tokens (control tokens, and text that is matched before
everything else) stay too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ExportError
from engine.model_folder.manifest import ControlIds, FimTemplates, RepositoryTokens
from engine.text.spellings import SPACE_MARK
from onnx_export.gguf.tokenizer import TokenizerOfFile
from onnx_export.graph_writer.rounding import OUTER
from onnx_export.graph_writer.weights import Blocks, Floats, Matrix, Weights

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Bpe:
    """The model of a tokenizer.json: ids by spelling, and the rank of each merge."""

    ids: Mapping[str, int]
    ranks: Mapping[tuple[str, str], int]

    def built_of(self, spelling: str) -> Iterator[str]:
        """The entries that occur while ``spelling`` is encoded alone, single characters first."""
        parts = list(spelling)
        yield from (part for part in parts if part in self.ids)
        while len(parts) > 1:
            ranked = [(self.ranks.get(pair, len(self.ranks)), at) for at, pair in enumerate(pairwise(parts))]
            rank, at = min(ranked)
            if rank == len(self.ranks):
                return
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
            yield parts[at]


def kept_entries(tokenizer: TokenizerOfFile, scores: NDArray[np.float64], most: int) -> Ids:
    """The ids of at most ``most`` entries, ascending: those that always stay, then by descending score ``[entries]``,
    each with the entries from which it is built. Entries whose score is not above 0 are left out.

    Errors: ExportError if ``most`` is too small for the entries that always stay.
    """
    raw = json.loads(tokenizer.text)
    model = _bpe(raw["model"])
    spellings = {token: spelling for spelling, token in model.ids.items()}
    kept = _always(tokenizer, raw, model)
    if len(kept) > most:
        raise ExportError(f"{most} entries are too few: bytes and control tokens alone are {len(kept)}; ask for more")
    for token in np.argsort(-scores, kind="stable").tolist():
        if scores[token] <= 0 or len(kept) == most:
            break
        if token in kept or token not in spellings:
            continue
        new = {model.ids[part] for part in model.built_of(spellings[token])} | {token}
        if len(kept | new) <= most:
            kept |= new
    return np.array(sorted(kept), np.int64)


def cut_tokenizer(tokenizer: TokenizerOfFile, kept: Ids) -> TokenizerOfFile:
    """The tokenizer of the entries ``kept`` (ascending), renumbered in their order. See `kept_entries`."""
    new = {token: number for number, token in enumerate(kept.tolist())}
    raw = json.loads(tokenizer.text)
    model = raw["model"]
    vocabulary = {spelling: new[token] for spelling, token in model["vocab"].items() if token in new}
    merges = [pair for pair in map(_pair, model["merges"]) if {*pair, pair[0] + pair[1]} <= vocabulary.keys()]
    raw["model"] = {**model, "vocab": vocabulary, "merges": [list(pair) for pair in merges]}
    raw["added_tokens"] = [{**token, "id": new[token["id"]]} for token in raw["added_tokens"]]
    return TokenizerOfFile(
        json.dumps(raw, ensure_ascii=False),
        len(new),
        _control(tokenizer.control, new),
        None if tokenizer.fim is None else _fim(tokenizer.fim, new),
        None if tokenizer.repository is None else _repository(tokenizer.repository, new),
    )


@dataclass(frozen=True, slots=True)
class CutRows:
    """The weights of another source with only the rows ``kept`` of embedding and head. These rows are not changed."""

    weights: Weights
    kept: Ids

    def shape(self, name: str) -> tuple[int, ...] | None:
        """See `Weights.shape`."""
        shape = self.weights.shape(name)
        return shape if shape is None or not _is_cut(name) else (len(self.kept), *shape[1:])

    def vector(self, name: str) -> Floats:
        """See `Weights.vector`."""
        values = self.weights.vector(name)
        return values[self.kept] if _is_cut(name) else values

    def matrix(self, name: str) -> Matrix:
        """See `Weights.matrix`."""
        matrix = self.weights.matrix(name)
        return some_rows(matrix, self.kept) if _is_cut(name) else matrix


def some_rows(matrix: Matrix, rows: Ids) -> Matrix:
    """Selected rows of a matrix, given by ascending numbers. Their blocks are not rounded again."""

    def read(start: int, stop: int) -> Blocks | Floats:
        wanted = rows[start:stop]
        first = int(wanted[0])
        part = matrix.read(first, int(wanted[-1]) + 1)
        at = wanted - first
        return part.taken(at) if isinstance(part, Blocks) else part[at]

    return Matrix(len(rows), matrix.columns, matrix.form, read)


def _is_cut(name: str) -> bool:
    return name in OUTER or name == "output.bias"


def _bpe(model: Mapping[str, Any]) -> _Bpe:
    return _Bpe(model["vocab"], {_pair(merge): rank for rank, merge in enumerate(model["merges"])})


def _pair(merge: Sequence[str]) -> tuple[str, str]:
    left, right = merge
    return left, right


def _always(tokenizer: TokenizerOfFile, raw: Mapping[str, Any], model: _Bpe) -> set[int]:
    """Ids that always stay: single bytes, added tokens, tokens with a role."""
    spaced = bool(raw["model"].get("byte_fallback"))
    singles = (_is_byte if spaced else _is_character)(model.ids)
    control, fim, repository = tokenizer.control, tokenizer.fim, tokenizer.repository
    roles = [control.begin, *control.end, model.ids.get(raw["model"].get("unk_token") or "")]
    roles += [] if fim is None else fim.control_ids
    roles += [] if repository is None else [repository.file, repository.repository]
    return {*singles, *(token["id"] for token in raw["added_tokens"]), *(token for token in roles if token is not None)}


def _is_character(ids: Mapping[str, int]) -> Iterator[int]:
    return (token for spelling, token in ids.items() if len(spelling) == 1)


def _is_byte(ids: Mapping[str, int]) -> Iterator[int]:
    return (
        token
        for spelling, token in ids.items()
        if spelling == SPACE_MARK or (len(spelling) == 6 and spelling.startswith("<0x") and spelling.endswith(">"))
    )


def _control(control: ControlIds, new: Mapping[int, int]) -> ControlIds:
    return ControlIds(
        begin=None if control.begin is None else new[control.begin],
        end=tuple(new[token] for token in control.end),
        pad=None if control.pad is None else new.get(control.pad),
    )


def _fim(fim: FimTemplates, new: Mapping[int, int]) -> FimTemplates:
    templates = {
        order: tuple(new[part] if isinstance(part, int) else part for part in parts)
        for order, parts in fim.templates.items()
    }
    return replace(fim, templates=templates)


def _repository(tokens: RepositoryTokens, new: Mapping[int, int]) -> RepositoryTokens:
    repository = None if tokens.repository is None else new[tokens.repository]
    return replace(tokens, file=new[tokens.file], repository=repository)
