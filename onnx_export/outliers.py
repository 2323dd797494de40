"""Which columns of a product's inputs are so large that they coarsen all others, seen on real text.

A product of bytes rounds each token's inputs to 127 steps of the largest one. In some models a few columns are ten
times the rest, always the same ones (LLM.int8, arXiv 2208.07339). These are multiplied as floats beside the bytes. The
text is Midtoken's own source, so that nothing is chosen on what is measured.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.model_folder.manifest import KeyValueLayout
from engine.runtime.graph import open_graph
from engine.text.tokenizer import Tokenizer
from engine.types import FloatArray
from onnx_export.graph_writer.build import MODEL_FILE
from onnx_export.graph_writer.graph import Columns, Tick
from onnx_export.real_text import WINDOW, text_ids

PIECE = 50
"""Number of tokens that are read at once, so that a conversion can be cancelled in between."""
MOST_COLUMNS = 16
LEAST_GAIN = 0.05
"""A column is set apart if the mean square of the steps falls by this share, and the next one after it likewise."""


def pieces_of(tokenizer: Tokenizer, start: int, context: int) -> list[NDArray[np.int64]]:
    """The text in pieces of ids ``[1, S]``, each of which begins with ``start`` and fits into ``context`` tokens."""
    size = min(PIECE, context - 1)
    pieces = [ids[at : at + size] for ids in text_ids(tokenizer, WINDOW) for at in range(0, len(ids), size)]
    return [np.array([[start, *piece]], np.int64) for piece in pieces]


def outlying_columns(
    folder: Path, names: Sequence[str], texts: Sequence[NDArray[np.int64]], layout: KeyValueLayout, tick: Tick
) -> Columns:
    """The outlying columns of each of the values ``names`` of the graph that `write_trial` wrote to ``folder``, on
    ``texts``, ids ``[1, S]`` each. ``tick`` is called before each text and may raise. Errors: those of
    `engine.runtime.graph.open_graph`.
    """
    session = open_graph(folder / MODEL_FILE, "cpu").session
    largest: dict[str, list[Largest]] = {name: [] for name in names}
    past = [value.name for value in session.get_inputs() if len(value.shape) == 4]
    for ids in texts:
        tick(0)
        empty = np.zeros((1, layout.heads, ids.size, layout.head_size), np.float32)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        found = session.run(list(names), given | dict.fromkeys(past, empty))
        for name, values in zip(names, found, strict=True):
            largest[name].append(Largest(values[0]))
    return {name: chosen(parts) for name, parts in largest.items()}


class Largest:
    """The columns of the largest values of each token ``[S, MOST_COLUMNS + 2]``, their squares, largest first, and the
    number of all columns.
    """

    def __init__(self, values: FloatArray) -> None:
        """``values`` are ``[S, K]``."""
        self.width = values.shape[1]
        sizes = np.abs(np.nan_to_num(values, posinf=0.0, neginf=0.0))
        count = min(MOST_COLUMNS + 2, self.width)
        some = np.argpartition(-sizes, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(sizes, some, axis=1), axis=1)
        self.columns = np.take_along_axis(some, order, axis=1)
        self.squares = np.square(np.take_along_axis(sizes, self.columns, axis=1), dtype=np.float64)


def chosen(parts: Sequence[Largest]) -> NDArray[np.int64]:
    """The columns that are to be set apart, in rising order: again and again the one without which the squares of the
    largest inputs fall most.
    """
    columns = np.concatenate([part.columns for part in parts])
    squares = np.concatenate([part.squares for part in parts])
    apart: list[int] = []
    rows = np.arange(len(columns))
    while len(apart) < min(MOST_COLUMNS, columns.shape[1] - 2):
        left = ~np.isin(columns, apart)
        first = left.argmax(axis=1)
        left[rows, first] = False
        second = left.argmax(axis=1)
        falls = squares[rows, first] - squares[rows, second]
        by_column = np.bincount(columns[rows, first], weights=falls, minlength=parts[0].width)
        best = int(by_column.argmax())
        if by_column[best] <= LEAST_GAIN * squares[rows, first].sum():
            break
        apart.append(best)
    return np.array(sorted(apart), np.int64)
