"""Checks a graph file before onnxruntime opens it: what it would run, and which files it would read.

onnxruntime trusts the file. It inlines functions, so a few kilobytes of nested functions become a billion nodes. It
runs loops for as many rounds as the graph says. It follows hard links to any file, and how it checks the places of
external data depends on its version and on whether they are in the main graph or in a branch. So this module walks the
messages of the file (protocol buffers, ``onnx.proto`` of the ONNX project) without building any objects from them.
"""

import mmap
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from engine.errors import ModelFolderError
from engine.model_folder.files import file_size, is_inside
from engine.model_folder.json_fields import shown
from engine.model_folder.protobuf import BYTES, Data, MalformedError, fields

MOST_BYTES = 2 << 30
"""Limit for a graph's own file: a message of protocol buffers cannot be longer. Larger weights are external data."""
MOST_NODES = 100_000
"""Limit with functions inlined and all branches counted; exported models have hundreds to some ten thousand."""
MOST_FUNCTIONS = 256
MOST_NESTED = 16
"""Limit for the depth of nested graphs."""
MOST_FIELDS = 2_000_000
"""Limit over all messages that are walked."""
LONGEST_NAME = 1024
"""Bytes of an operator's name or a file's name that are read. A longer name is cut, and then no such operator or file
exists.
"""

Kind: TypeAlias = Literal["model", "training", "function", "graph", "node", "attribute", "sparse", "tensor", "entry"]

# The fields of each message that hold messages which matter here.
_INNER: Mapping[Kind, Mapping[int, Kind]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
# The fields with the name and domain of the operator that a node calls or a function defines; key and value of an
# entry.
_NAMED: Mapping[Kind, tuple[int, ...]] = {"node": (4, 7), "function": (1, 10), "entry": (1, 2)}
# Operators that run a graph repeatedly. A decoder makes one step in a pass and needs none of them.
_REPEATING = frozenset(
    {b"Loop", b"Scan", b"SequenceMap", b"BeamSearch", b"GreedySearch", b"Sampling", b"WhisperBeamSearch"}
)

Operator: TypeAlias = tuple[bytes, bytes]
"""Domain and name."""


class _TooMuch(Exception):
    """A limit was exceeded; the message says which."""


@dataclass(slots=True)
class _Found:
    """What a walk collects: the nodes of the main graph and of each function, by operator, and the places of external
    data.
    """

    nodes: Counter[Operator] = field(default_factory=Counter)
    functions: dict[Operator, Counter[Operator]] = field(default_factory=dict)
    places: set[bytes] = field(default_factory=set)
    fields: int = 0


def check_graph_file(path: Path, hashed: Collection[Path] = ()) -> None:
    """Raise `ModelFolderError` unless the graph may be opened.

    It may be opened if its size is bounded (`MOST_NODES` and the others), nothing in it runs repeatedly, and all
    external weights are in regular files of its folder. Such a file must not have a second name elsewhere (a hard
    link), unless it is among the ``hashed`` ones: if the hash is known, the content is known.
    """
    try:
        file_size(path.parent, path.name, MOST_BYTES)
        found = _Found()
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _walk(data, found)
        _check_size(found)
    except MalformedError as error:
        raise ModelFolderError(f"{path} is no graph, or a part of one; export the model again") from error
    except _TooMuch as error:
        raise ModelFolderError(f"{path} {error}; do not use this folder") from None
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path} is not there; copy or export the model again") from error
    except (OSError, ValueError) as error:  # mmap refuses an empty file with a ValueError
        raise ModelFolderError(f"{path} cannot be read ({error}); export the model again") from None
    for place in sorted(found.places):
        _check_place(path, place, hashed)


def _walk(data: Data, found: _Found) -> None:
    """Walk all messages that matter. Each comes with the counter to which its nodes are added."""
    waiting: list[tuple[Kind, int, int, int, Counter[Operator]]] = [("model", 0, len(data), 0, found.nodes)]
    while waiting:
        kind, start, end, depth, counts = waiting.pop()
        messages, names = _parts(data, kind, start, end, found)
        if kind == "entry" and names[0] == b"location":
            found.places.add(names[1])
        elif kind == "function":
            counts = found.functions.setdefault(_operator(names), Counter())
        elif kind == "node":
            _count(_operator(names), counts)
        depth += kind == "graph"
        if depth > MOST_NESTED:
            raise _TooMuch(f"has graphs nested more than {MOST_NESTED} deep")
        waiting += [(inner, begin, stop, depth, counts) for inner, begin, stop in messages]


def _parts(
    data: Data, kind: Kind, start: int, end: int, found: _Found
) -> tuple[list[tuple[Kind, int, int]], list[bytes]]:
    """The inner messages that matter, and the message's two names."""
    inner, wanted = _INNER[kind], _NAMED.get(kind, ())
    messages: list[tuple[Kind, int, int]] = []
    names = [b"", b""]
    for number, wire, begin, stop in fields(data, start, end):
        found.fields += 1
        if found.fields > MOST_FIELDS:
            raise _TooMuch(f"has more than {MOST_FIELDS} parts")
        if wire != BYTES:
            continue
        if number in inner:
            messages.append((inner[number], begin, stop))
        elif number in wanted:
            names[wanted.index(number)] = data[begin : min(stop, begin + LONGEST_NAME)]
    return messages, names


def _operator(names: list[bytes]) -> Operator:
    return (b"" if names[1] == b"ai.onnx" else names[1], names[0])


def _count(operator: Operator, counts: Counter[Operator]) -> None:
    if operator[1] in _REPEATING:
        raise _TooMuch(f"runs parts of itself repeatedly ({operator[1].decode()})")
    counts[operator] += 1


def _check_size(found: _Found) -> None:
    if len(found.functions) > MOST_FUNCTIONS:
        raise _TooMuch(f"has more than {MOST_FUNCTIONS} functions")
    known: dict[Operator, int] = {}

    def nodes(counts: Counter[Operator]) -> int:
        return sum(count * size(operator) for operator, count in counts.items())

    def size(operator: Operator) -> int:
        """Number of nodes that a node becomes when functions are inlined. If its function is already being expanded, it
        calls itself.
        """
        if operator not in found.functions:
            return 1
        if operator not in known:
            known[operator] = MOST_NODES + 1
            known[operator] = nodes(found.functions[operator])
        return known[operator]

    try:
        too_many = max([nodes(found.nodes), *map(size, found.functions)]) > MOST_NODES
    except RecursionError:  # functions that call each other endlessly
        too_many = True
    if too_many:
        raise _TooMuch(f"has more than {MOST_NODES} nodes")


def _check_place(path: Path, place: bytes, hashed: Collection[Path]) -> None:
    """Raise `ModelFolderError` unless external data may be read from ``place``."""
    name = place.decode("utf-8", "backslashreplace")
    if not is_inside(path.parent, name):
        raise ModelFolderError(
            f"{path} names weights outside its folder; do not use this folder"
            " (or copy it with real files, if it is a download cache's that consists of links)"
        )
    try:
        file_size(path.parent, name)
        if path.parent / name in hashed or (path.parent / name).stat().st_nlink == 1:
            return
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelFolderError(f"{path} has its weights in a file that is not there; copy the whole folder") from error
    raise ModelFolderError(
        f"{path} has its weights in {shown(name)}, which has another name elsewhere (a hard link); copy the folder with"
        " files of its own, or do not use it"
    )
