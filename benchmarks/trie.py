"""The prefix query: how long it takes to find the ids of all entries that start with given bytes.

Ours, the double-array trie (`DatrieIndex`) and the plain bisection (`SortedIndex`), give a slice of
ids. The peers list the values below a prefix one by one, as tries usually do: ``datrie`` alone, and ``pygtrie``, pure
Python. All in the same process, on the largest vocabulary at hand (``--tokenizers``), else on a made-up one.
"""

import gzip
import random
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import BenchOptions, Cell, Ratio, Report, Table, interleave, median, median_ratio
from engine.healing.prefix_index import DatrieIndex, PrefixIndex, SortedIndex, escape
from engine.text.vocabulary import Vocabulary, load_vocabulary

SIZE = 200_000
"""Entries of the made-up vocabulary."""
ROUNDS = 7
MOST_QUERY_US = 10.0
_PREFIXES = (b" ", b"a", b"import", b"self.", b" return", b"\xe4\xb8", b"\x00\xff\x00")
_LEAST_SECONDS = 0.002
_HASH = "0" * 64

Query: TypeAlias = Callable[[bytes], NDArray[np.int32]]


def run(options: BenchOptions) -> Report:
    """Build, save, load and query all implementations that are installed."""
    name, vocabulary = largest_vocabulary(options.tokenizers)
    builders: dict[str, Callable[[], Any]] = {"sorted": lambda: SortedIndex(vocabulary)}
    notes = []
    if find_spec("datrie"):
        builders = {"ours": lambda: DatrieIndex.build(vocabulary), **builders, "datrie": lambda: _datrie(vocabulary)}
    else:
        notes.append("datrie is not installed: bisection is what runs here")
    if find_spec("pygtrie"):
        builders["pygtrie"] = lambda: _pygtrie(vocabulary)
    else:
        notes.append("pygtrie is not installed")
    built: dict[str, Any] = {}
    prepared = {key: [_timed(build, built, key)] for key, build in builders.items()}
    if "ours" in built:
        prepared |= _saved_and_loaded(built["ours"], vocabulary)
    queries = {key: _query(key, value) for key, value in built.items()}
    rounds = options.repetitions or ROUNDS
    figures: dict[bytes, dict[str, list[float]]] = {}
    for done, prefix in enumerate(_PREFIXES):
        figures[prefix] = _measure(queries, prefix, rounds)
        options.progress(done + 1, len(_PREFIXES))
    best = "ours" if "ours" in built else "sorted"
    return Report(
        name="trie",
        conditions={"vocabulary": name, "entries": len(vocabulary.candidate_ids), "rounds": rounds},
        tables=(_preparation(prepared), _times(figures, queries)),
        ratios=_ratios(figures, best),
        notes=(*notes, *_verdict(prepared, figures)),
    )


def largest_vocabulary(folder: Path | None) -> tuple[str, Vocabulary]:
    """The largest file of a folder of ``*.json.gz`` with its name, or a made-up vocabulary."""
    files = sorted(folder.glob("*.json.gz"), key=lambda path: path.stat().st_size) if folder else []
    if not files:
        return "made up", made_up_vocabulary(SIZE)
    text = gzip.decompress(files[-1].read_bytes()).decode()
    return files[-1].name.removesuffix(".json.gz"), load_vocabulary(text)


def made_up_vocabulary(size: int, seed: int = 0) -> Vocabulary:
    """Entries like those of a large BPE vocabulary: bytes, words of a few syllables, half of them after a space."""
    generator = random.Random(seed)
    syllables = [a + b for a in "bcdfghjklmnprstvw" for b in ("a", "e", "i", "o", "u", "er", "in", "on")]
    entries = dict.fromkeys(bytes([byte]) for byte in range(256))
    entries |= dict.fromkeys([b"import", b"self.", b" return"])
    while len(entries) < size:
        word = "".join(generator.choices(syllables, k=generator.randint(1, 4)))
        entries[(generator.choice([" ", ""]) + word).encode()] = None
    token_bytes = tuple(entries)
    return Vocabulary(
        token_bytes, frozenset(), np.arange(size, dtype=np.int32), max(map(len, token_bytes)), "byte-level"
    )


def _timed(build: Callable[[], Any], into: dict[str, Any], key: str) -> float:
    started = time.perf_counter()
    into[key] = build()
    return time.perf_counter() - started


def _saved_and_loaded(index: DatrieIndex, vocabulary: Vocabulary) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        seconds: dict[str, Any] = {}
        return {
            "ours, saving": [_timed(lambda: index.save(path, _HASH), seconds, "save")],
            "ours, loading": [
                _timed(lambda: DatrieIndex.load(vocabulary, path, _HASH), seconds, "load") for _ in range(ROUNDS)
            ],
        }


def _datrie(vocabulary: Vocabulary) -> Any:
    import datrie

    trie = datrie.BaseTrie(ranges=[("\x01", "\xf9")])
    # Sorted, as one would after reading its manual; else this takes ten times as long.
    for token in sorted(vocabulary.candidate_ids.tolist(), key=vocabulary.token_bytes.__getitem__):
        trie[escape(vocabulary.token_bytes[token])] = token
    return trie


def _pygtrie(vocabulary: Vocabulary) -> Any:
    import pygtrie

    trie = pygtrie.Trie()
    for token in vocabulary.candidate_ids.tolist():
        trie[vocabulary.token_bytes[token]] = token
    return trie


def _query(name: str, built: Any) -> Query:
    """A function from a prefix to ids. The ids are an array in the end, for that is what logits are gathered with."""
    if name == "datrie":
        return lambda prefix: np.array(built.values(escape(prefix)), np.int32)
    if name == "pygtrie":
        return lambda prefix: np.array(built.values(prefix) if built.has_node(prefix) else [], np.int32)
    index: PrefixIndex = built
    return lambda prefix: index.ids[index.slice(prefix)]


def _measure(queries: dict[str, Query], prefix: bytes, rounds: int) -> dict[str, list[float]]:
    """Seconds a query, measured in turn; short ones are repeated until the clock can tell."""
    answers = {name: set(query(prefix).tolist()) for name, query in queries.items()}
    assert len({frozenset(answer) for answer in answers.values()}) == 1, f"the answers differ for {prefix!r}"

    def variant(query: Query) -> Callable[[], float]:
        started = time.perf_counter()
        query(prefix)
        number = max(1, int(_LEAST_SECONDS / (time.perf_counter() - started)))

        def measure() -> float:
            started = time.perf_counter()
            for _ in range(number):
                query(prefix)
            return (time.perf_counter() - started) / number

        return measure

    return interleave({name: variant(query) for name, query in queries.items()}, rounds)


def _preparation(prepared: dict[str, list[float]]) -> Table:
    rows = tuple((name, median(seconds) * 1000) for name, seconds in prepared.items())
    return Table("getting ready", ("", "ms"), rows)


def _times(figures: dict[bytes, dict[str, list[float]]], queries: dict[str, Query]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for prefix, by_name in figures.items():
        found = len(next(iter(queries.values()))(prefix))
        rows.append((repr(prefix)[1:], found, *(median(seconds) * 1e6 for seconds in by_name.values())))
    return Table("one query", ("prefix", "entries", *(f"{name} us" for name in queries)), tuple(rows))


def _ratios(figures: dict[bytes, dict[str, list[float]]], best: str) -> tuple[Ratio, ...]:
    slowest = max(median(by_name[best]) * 1e6 for by_name in figures.values())
    ratios = [Ratio(f"slowest query of {best} over {MOST_QUERY_US:g} us", slowest / MOST_QUERY_US, 1.0)]
    for peer in next(iter(figures.values())):
        if peer != best:
            for prefix in (b" ", b"import"):
                ratio = median_ratio(figures[prefix][best], figures[prefix][peer])
                ratios.append(Ratio(f"{best} over {peer}, {repr(prefix)[1:]}", ratio))
    return tuple(ratios)


def _verdict(prepared: dict[str, list[float]], figures: dict[bytes, dict[str, list[float]]]) -> tuple[str, ...]:
    """Whether the trie is worth its compiler, as measured here."""
    if "ours" not in prepared:
        return ()
    query = median([median_ratio(by_name["ours"], by_name["sorted"]) for by_name in figures.values()])
    load = median(prepared["ours, loading"]) / median(prepared["sorted"])
    return (f"the trie over bisection: a query takes {query:.2f} times as long, loading {load:.2f} times the sorting",)


def main() -> None:
    """Measure on a made-up vocabulary and print the report."""
    from benchmarks.tables import as_text

    print(as_text(run(BenchOptions())))


if __name__ == "__main__":
    main()
