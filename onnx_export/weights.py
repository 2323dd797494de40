"""What a checkpoint's weights say about its vocabulary: rows of embedding and head, and rows that were never trained.

It reads only the headers of the safetensors files and, for the untrained rows, the embedding. It needs no torch.
"""

import json
import math
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ExportError

EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight")
HEADS = ("lm_head.weight", "embed_out.weight")
SMALL_NORM = 0.25
"""A row shorter than this share of the median was almost never looked up, so only weight decay has changed it."""
MOST_HEADER_BYTES = 16 << 20
"""Real headers have some hundred kilobytes."""
MOST_AXES = 8
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
"""Bytes of one value, by type. Other types are not read."""


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """A tensor in a file of the checkpoint: its type as safetensors spells it, its bytes from ``start``."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: str
    start: int


def tensor_places(folder: Path) -> dict[str, TensorPlace]:
    """All tensors of a checkpoint by name. Errors: ExportError if a file is not safetensors, or if its tensors are
    outside of it, overlap, or do not match the number of their bytes.
    """
    places: dict[str, TensorPlace] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            for place in _places_in(path):
                if place.name in places:
                    raise ValueError(f"{place.name[:80]!r} stands in two files")
                places[place.name] = place
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
            problem = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)[:200]
            raise ExportError(f"{path} cannot be read as safetensors ({problem}); copy it again") from None
    return places


def _places_in(path: Path) -> list[TensorPlace]:
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > MOST_HEADER_BYTES:
            raise ValueError("its header is too long")
        header = json.loads(stream.read(length))
    if not isinstance(header, dict):
        raise TypeError("its header is no object")
    room = path.stat().st_size - 8 - length
    found: list[TensorPlace] = []
    spans: list[tuple[int, int]] = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        shape, dtype = entry["shape"], entry["dtype"]
        _require_sizes([begin, end], "data_offsets")
        _require_sizes(shape, "shape")
        if not begin <= end <= room:
            raise ValueError("it is cut off" if end > room else "a tensor ends before it begins")
        if not isinstance(dtype, str) or len(shape) > MOST_AXES:
            raise TypeError("a tensor has no type, or too many axes")
        if dtype in BYTES and math.prod(shape) * BYTES[dtype] != end - begin:
            raise ValueError(f"{name[:80]!r} has another size than its bytes")
        found.append(TensorPlace(path, name, tuple(shape), dtype, 8 + length + begin))
        spans.append((begin, end))
    spans.sort()
    if any(end > begin for (_, end), (begin, _) in pairwise(spans)):
        raise ValueError("tensors lie in each other")
    return found


def _require_sizes(values: Any, name: str) -> None:
    if not isinstance(values, list) or not all(type(value) is int and 0 <= value < 1 << 48 for value in values):
        raise TypeError(f"{name} must be whole numbers")


def find(places: dict[str, TensorPlace], endings: tuple[str, ...]) -> TensorPlace | None:
    """The matrix whose name ends with one of ``endings``, as a whole part of it."""
    for ending in endings:
        for name, place in places.items():
            if (name == ending or name.endswith("." + ending)) and len(place.shape) == 2:
                return place
    return None


def read_rows(place: TensorPlace, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
    """Rows of a matrix (default: all) as float32. Errors: ExportError for a type that is not floating point, or a file
    that has changed.
    """
    types = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
    if place.dtype not in types:
        raise ExportError(f"{place.name} has the type {place.dtype}; weights must be F32, F16 or BF16")
    rows, width = (place.shape[0] if stop is None else stop) - start, place.shape[1]
    skipped = place.start + start * width * BYTES[place.dtype]
    try:
        raw = np.fromfile(place.path, types[place.dtype], rows * width, offset=skipped).reshape(rows, width)
    except (OSError, ValueError) as error:
        raise ExportError(f"{place.path} has changed while it was read ({error}); copy the checkpoint again") from None
    if place.dtype == "BF16":
        wide: NDArray[np.float32] = (raw.astype(np.uint32) << 16).view(np.float32)
        return wide
    return raw.astype(np.float32)


def untrained_rows(rows: NDArray[np.float32], count: int) -> tuple[int, ...]:
    """Those of the first ``count`` rows (entries of the tokenizer) that were never trained, ascending.

    A row counts if it is zero, equal to another row bit by bit (as after a resize that repeats one vector), or shorter
    than `SMALL_NORM` of the median length. Compare Land and Bartolo, arXiv 2405.05417.
    """
    norms = np.linalg.norm(rows, axis=1)
    used = rows[:count]
    short = norms[:count] < SMALL_NORM * float(np.median(norms[:count]))
    _, inverse, counts = np.unique(
        np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel(),
        return_inverse=True,
        return_counts=True,
    )
    repeated = counts[inverse.ravel()[: len(used)]] > 1
    return tuple(np.flatnonzero(short | repeated).tolist())
