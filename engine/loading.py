"""From a model folder to its parts: manifest, tokenizer, prefix index, session. The manifest is read or derived."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.config import DeviceChoice
from engine.errors import DeviceMemoryError, ModelFolderError
from engine.healing.prefix_index import PrefixIndex, SortedIndex, load_or_build_index
from engine.model_folder.contract import check_contract, check_round_trip
from engine.model_folder.files import MOST_TOKENIZER_BYTES, read_text_file
from engine.model_folder.foreign import ForeignFolder, derive_manifest, find_foreign
from engine.model_folder.manifest import KeyValueLayout, Manifest, check_files, read_manifest
from engine.model_folder.tokenizer_cache import known_tokenizer
from engine.model_folder.user_cache import user_cache_folder
from engine.runtime.captured_step import can_be_captured
from engine.runtime.graph import Graph, open_graph
from engine.runtime.kv_buffers import slot_bytes
from engine.runtime.model_session import ModelSession
from engine.runtime.reading_graph import (
    ReadingGraph,
    check_reading_graph,
    keep_rows,
    known_rows,
    measured_rows,
)
from engine.runtime.session import LEAST_CONTEXT, OrtSession
from engine.text.tokenizer import Tokenizer

BUNDLED_MODEL = Path(__file__).parent / "bundled"
"""The model folder that ships inside the package."""
FIRST_LINE = "for name, value in sorted(items):\n    return x"


@dataclass(frozen=True, slots=True)
class Slots:
    """How many sequences a session shall hold side by side: at most ``most``, as far as their keys and values fit into
    ``memory_bytes``, and at least one.
    """

    most: int
    memory_bytes: int

    def count(self, layout: KeyValueLayout, length: int) -> int:
        """The number for slots of ``length`` positions."""
        return max(1, min(self.most, self.memory_bytes // slot_bytes(layout, length)))


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The parts of the model in ``folder``, checked against each other; ``notices`` are lines for the user."""

    folder: Path
    manifest: Manifest
    tokenizer: Tokenizer
    index: PrefixIndex
    session: OrtSession
    notices: tuple[str, ...]


def load_model(
    model_dir: Path | None, device: DeviceChoice, threads: int | None, context_tokens: int, slots: Slots | None = None
) -> LoadedModel:
    """Load a folder of our own or of another exporter, or a graph in one. The parameters are those of `Completer.load`,
    also the default: the bundled model.

    The session gets ``slots`` if it can have several (None: as a single user needs). If there is no memory for the
    key/value cache, it gets fewer slots, and then half as many positions, until it fits; a notice says so. The model is
    run once. Raises `ModelFolderError` (`ManifestError`,
    `ContractError`, `WeightsError`) or `DeviceError`.
    """
    folder = BUNDLED_MODEL if model_dir is None else Path(model_dir)
    foreign = find_foreign(folder)
    if foreign is None:
        manifest, tokenizer, graph = _load_own(folder, device, threads)
    else:
        graph = open_graph(foreign.folder / foreign.model_file, device, threads)
        manifest = derive_manifest(foreign, graph.signature)
        tokenizer = load_tokenizer(foreign.folder, manifest)
    index = _index_of(folder, tokenizer, manifest)
    session, smaller = _session_that_fits(graph, manifest, tokenizer, context_tokens, slots)
    if manifest.reading_file and graph.device.kind == "cpu":
        _add_reading_graph(session, folder, manifest, threads)
    return LoadedModel(folder, manifest, tokenizer, index, session, _notices(graph, manifest, foreign, smaller))


def _load_own(folder: Path, device: DeviceChoice, threads: int | None) -> tuple[Manifest, Tokenizer, Graph]:
    """A folder with a manifest. The weights are read on a thread of their own while the tokenizer is built; that thread
    rarely needs the interpreter.
    """
    manifest = read_manifest(folder)
    # Damaged weights only compute wrong numbers, but graph and tokenizer are parsed, so their hashes are checked first.
    small = {manifest.model_file, manifest.tokenizer_file}
    check_files(folder, manifest, small)

    def open_checked() -> Graph:
        check_files(folder, manifest, manifest.files.keys() - small)
        hashed = [folder / name for name in manifest.files]
        return open_graph(folder / manifest.model_file, device, threads, hashed=hashed)

    with ThreadPoolExecutor(1, thread_name_prefix="weights") as pool:
        opening = pool.submit(open_checked)
        tokenizer = load_tokenizer(folder, manifest)
        return manifest, tokenizer, opening.result()


def _index_of(folder: Path, tokenizer: Tokenizer, manifest: Manifest) -> PrefixIndex:
    """The prefix index. A saved one is read only from the bundled model, because libdatrie trusts the file as it trusts
    its own memory. For other models a trie is not built either: building takes longer than its look-ups ever save.
    """
    if folder != BUNDLED_MODEL:
        return SortedIndex(tokenizer.vocabulary)
    return load_or_build_index(tokenizer.vocabulary, folder, manifest.files[manifest.tokenizer_file])


def load_tokenizer(folder: Path, manifest: Manifest) -> Tokenizer:
    """The tokenizer of a folder, checked against its manifest. Raises `ModelFolderError`, `ContractError`."""
    try:
        text = read_text_file(folder, manifest.tokenizer_file, MOST_TOKENIZER_BYTES)
    except OSError as error:
        raise ModelFolderError(f"{folder / manifest.tokenizer_file} cannot be read ({error})") from None
    tokenizer = Tokenizer(text, manifest.control_ids, manifest.name, known_tokenizer)
    check_contract(manifest, tokenizer.vocabulary)
    check_round_trip(tokenizer)
    return tokenizer


def first_pass(session: ModelSession, manifest: Manifest, tokenizer: Tokenizer) -> None:
    """Run the model over a line of code. Raises `WeightsError` if its logits are not finite, `DeviceError` if it cannot
    run.
    """
    begin = () if manifest.control.begin is None else (manifest.control.begin,)
    ids = np.array([*begin, *tokenizer.encode(FIRST_LINE)], np.int32)[: session.context_length]
    session.forward(ids, 0, range(len(ids)))


def _add_reading_graph(session: OrtSession, folder: Path, manifest: Manifest, threads: int | None) -> None:
    """Let the folder's second graph read many tokens, if it is faster here. That is measured once on a machine."""
    cache = user_cache_folder("reading")
    rows = known_rows(manifest, threads, cache)
    if rows == 0:
        return
    path, hashed = folder / manifest.reading_file, [folder / name for name in manifest.files]
    opened = open_graph(path, "cpu", threads, hashed=hashed).session
    check_reading_graph(opened, manifest)
    if rows is None:
        rows = _measured(session, opened)
        keep_rows(rows, manifest, threads, cache)
    session.read_with(ReadingGraph(opened, rows) if rows else None)


def _measured(session: OrtSession, opened: Any) -> int:
    """From how many tokens on the graph ``opened`` reads faster than the session's own; 0: it does not."""
    second = ReadingGraph(opened, 1)

    def read(reading: ReadingGraph | None, tokens: int) -> None:
        session.read_with(reading)
        session.forward(np.zeros(min(tokens, session.context_length), np.int32), 0, ())

    return measured_rows(lambda tokens: read(None, tokens), lambda tokens: read(second, tokens))


def _session_that_fits(
    graph: Graph, manifest: Manifest, tokenizer: Tokenizer, tokens: int, slots: Slots | None
) -> tuple[OrtSession, str]:
    """The session with the largest cache that memory allows, after its first pass. Also a line for the user if that is
    smaller than what was asked for.
    """
    length = min(tokens, manifest.context_length)
    count = None if slots is None else slots.count(manifest.key_value, length)
    wanted = (length, count)
    while True:
        try:
            session = OrtSession.over(graph, manifest, length, count)
            first_pass(session, manifest, tokenizer)
        except DeviceMemoryError:
            if count is not None and count > 1:
                count -= max(1, count // 4)
            elif length // 2 >= LEAST_CONTEXT:
                length //= 2
            else:
                raise
        else:
            return session, "" if wanted == (length, count) else _smaller(wanted, length, count)


def _smaller(wanted: tuple[int, int | None], length: int, count: int | None) -> str:
    if count is None:
        return f"no memory for a key/value cache of {wanted[0]} tokens; it holds {length}"
    return f"no memory for {wanted[1]} key/value caches of {wanted[0]} tokens; there are {count} of {length}"


def _notices(graph: Graph, manifest: Manifest, foreign: ForeignFolder | None, smaller: str) -> tuple[str, ...]:
    lines = [graph.device.notice, smaller]
    if foreign is not None:
        copies = "" if manifest.key_value.shared else ", whose graph copies its keys and values in every step"
        lines.append(f"{foreign.folder} was made by another exporter{copies}; 'midtoken export' makes faster ones")
    if graph.device.captures and not can_be_captured(manifest):
        lines.append(f"the step of {manifest.name} cannot be a CUDA graph; 'midtoken export' makes models that can")
    if manifest.fim is None:
        lines.append(f"{manifest.name} cannot fill in the middle: only the text before the cursor counts")
    return tuple(line for line in lines if line)
