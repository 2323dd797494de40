"""Stand-ins for a model: deterministic, countable, able to fail. The engine around them is the real one."""

import time
from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from engine.completer import Completer
from engine.errors import Cancelled, DeviceError
from engine.healing.prefix_index import SortedIndex
from engine.model_folder.manifest import (
    ControlIds,
    FimOrder,
    FimTemplates,
    GraphNames,
    KeyValueLayout,
    Manifest,
    RepositoryTokens,
    TemplatePart,
    VocabularySizes,
)
from engine.text.tokenizer import Tokenizer
from engine.types import CancellationToken, FloatArray, IdArray, ModelInfo, TokenIds
from tests.toy import TOYS

LogitsOf: TypeAlias = Callable[[TokenIds], FloatArray]
"""Maps a history of tokens to logits ``[V] float32``: a model as a pure function."""

ATTENTION_GRAPH = Path(__file__).parent / "data" / "attention.onnx"
SEPARATE_GRAPH = ATTENTION_GRAPH.with_name("separate.onnx")
ATTENTION_HEAD = 512
"""Rows of the output matrix of both graphs. The toy vocabularies have fewer entries; the rest is padding."""


@cache
def toy_tokenizer(name: str) -> Tokenizer:
    """One of the tokenizers of ``tests/toy.py``. They never change, so each is made once."""
    return Tokenizer(TOYS[name]())


def control_ids(tokenizer: Tokenizer) -> tuple[int, int, int, int]:
    """A toy's ids of end, fill-in-the-middle prefix, suffix and middle."""
    end, prefix, suffix, middle = sorted(tokenizer.vocabulary.control_ids)
    return end, prefix, suffix, middle


def toy_fim(tokenizer: Tokenizer, default: FimOrder = "psm") -> FimTemplates:
    """Both orders over a toy's control tokens."""
    _, prefix, suffix, middle = control_ids(tokenizer)
    templates: dict[FimOrder, tuple[TemplatePart, ...]] = {
        "psm": (prefix, "prefix", suffix, "suffix", middle),
        "spm": (prefix, suffix, "suffix", middle, "prefix"),
    }
    return FimTemplates(templates, default)


def hash_model(size: int, *, order: int = 3, salt: int = 0, scale: float = 2.0) -> LogitsOf:
    """Logits that depend on the last ``order`` tokens only and look random."""

    def logits_of(history: TokenIds) -> FloatArray:
        seed = (salt, *(token + 1 for token in history[-order:]))
        return (scale * np.random.default_rng(seed).standard_normal(size)).astype(np.float32)

    return logits_of


def table_model(size: int, table: dict[TokenIds, dict[int, float]], *, floor: float = -20.0) -> LogitsOf:
    """Log-probabilities by the longest known end of the history. Entries that are not named get ``floor``."""

    def logits_of(history: TokenIds) -> FloatArray:
        row = np.full(size, floor, np.float32)
        for start in range(len(history) + 1):
            if history[start:] in table:
                for token, value in table[history[start:]].items():
                    row[token] = value
                break
        return row

    return logits_of


def readable(tokenizer: Tokenizer, *, lines: bool = True) -> list[int]:
    """Readable tokens: printable ASCII, and line breaks if ``lines`` is true."""
    allowed = {*range(0x20, 0x7F), *([0x0A] if lines else [])}
    return [i for i, data in enumerate(tokenizer.vocabulary.token_bytes) if data and allowed.issuperset(data)]


def readable_model(tokenizer: Tokenizer, salt: int = 0, *, lines: bool = True) -> LogitsOf:
    """A hash model that writes readable text only and never ends on its own."""
    size = tokenizer.vocabulary.size
    return without(hash_model(size, salt=salt), set(range(size)) - set(readable(tokenizer, lines=lines)))


def without(model: LogitsOf, forbidden: Collection[int]) -> LogitsOf:
    """The same model with some tokens made impossible."""

    def logits_of(history: TokenIds) -> FloatArray:
        row = model(history)
        row[list(forbidden)] = -np.inf
        return row

    return logits_of


def scripted_model(tokenizer: Tokenizer, text: str, *, end: int, size: int | None = None) -> LogitsOf:
    """A model that knows ``text``: it continues as the canonical encoding does, and then ends.

    It looks for the longest end of the history that occurs in the script. So it also recognises a prompt that begins in
    the middle or has control ids. Of several matches it takes the one that reaches back to the beginning of the script,
    else the last. Without a match, the script begins.
    """
    script = (*tokenizer.encode(text), end)

    def logits_of(history: TokenIds) -> FloatArray:
        row = np.zeros(size or tokenizer.vocabulary.size, np.float32)
        common = [_common_end(history, script[:at]) for at in range(len(script))]
        position = max(range(len(script)), key=lambda at: (common[at], common[at] == at, at))
        row[script[position if common[position] else 0]] = 12.0
        return row

    return logits_of


def _common_end(left: Sequence[int], right: Sequence[int]) -> int:
    length = 0
    for a, b in zip(reversed(left), reversed(right), strict=False):
        if a != b:
            break
        length += 1
    return length


class FakeSession:
    """An `engine.runtime.model_session.ModelSession` over a `LogitsOf`. It counts and checks the calls.

    ``calls`` are forward passes, ``tokens`` all tokens in them, ``copied`` positions copied from slot to slot,
    ``restored`` positions restored from what was saved.
    """

    def __init__(self, logits_of: LogitsOf, *, context_length: int = 256, slots: int = 8) -> None:
        self.logits_of = logits_of
        self.held: list[list[int]] = [[] for _ in range(slots)]
        self.calls = 0
        self.tokens = 0
        self.copied = 0
        self.restored = 0
        self.interrupted = [False]
        self.largest_call = 0
        self.seconds_per_call = 0.0
        self.sleep: Callable[[float], object] = time.sleep
        self.cancel_at: tuple[int, CancellationToken] | None = None
        self.fail_at: int | None = None
        self._context_length = context_length

    @property
    def context_length(self) -> int:
        return self._context_length

    @property
    def slots(self) -> int:
        return len(self.held)

    @property
    def written(self) -> list[int]:
        """The content of the first slot."""
        return self.held[0]

    def forward(self, ids: IdArray, start: int, rows: Sequence[int], slot: int = 0) -> FloatArray:
        assert ids.ndim == 1
        assert all(0 <= row < len(ids) for row in rows)
        self._write([slot], ids[None, :], [start])
        histories = [tuple(self.held[slot][: start + row + 1]) for row in rows]
        return np.stack([self.logits_of(h) for h in histories]) if histories else np.zeros((0, 0), np.float32)

    def step(self, tokens: IdArray, starts: Sequence[int], first: int = 0) -> FloatArray:
        assert len(tokens) == len(starts)
        slots = range(first, first + len(tokens))
        self._write(slots, tokens[:, None], starts)
        return np.stack([self.logits_of(tuple(self.held[slot])) for slot in slots])

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        assert source != target
        assert 0 <= start <= len(self.held[target]), "a position before start was never written"
        assert start < end <= len(self.held[source]), "what is copied was never written"
        self.copied += end - start
        self.held[target][start:] = self.held[source][start:end]

    @property
    def position_bytes(self) -> int:
        return 10

    def save(self, slot: int, end: int) -> object:
        assert end <= len(self.held[slot]), "what is saved was never written"
        return self.held[slot][:end]

    def restore(self, saved: object, slot: int, start: int, end: int) -> None:
        assert isinstance(saved, list)
        assert 0 <= start <= len(self.held[slot]), "a position before start was never written"
        assert start < end <= len(saved)
        self.restored += end - start
        self.held[slot][start:] = saved[start:end]

    def interruptible(self) -> Callable[[], None]:
        self.interrupted = interrupted = [False]

        def interrupt() -> None:
            interrupted[0] = True

        return interrupt

    def sibling(self) -> "FakeSession":
        return FakeSession(self.logits_of, context_length=self._context_length, slots=self.slots)

    def reset_counts(self) -> None:
        self.calls = self.tokens = self.copied = self.restored = self.largest_call = 0

    def _write(self, slots: Sequence[int], ids: IdArray, starts: Sequence[int]) -> None:
        """One forward pass: write ``ids`` ``[B, S]`` to the positions from ``starts`` on."""
        assert ids.dtype == np.int32
        assert ids.size
        for slot, start in zip(slots, starts, strict=True):
            assert 0 <= start <= len(self.held[slot]), "a position before start was never written"
            assert start + ids.shape[1] <= self._context_length
        self.calls += 1
        self.tokens += ids.size
        self.largest_call = max(self.largest_call, ids.size)
        self._misbehave(slots, starts)
        for slot, start, row in zip(slots, starts, ids, strict=True):
            self.held[slot][start:] = row.tolist()

    def _misbehave(self, slots: Sequence[int], starts: Sequence[int]) -> None:
        if self.seconds_per_call:
            self.sleep(self.seconds_per_call)
        if self.cancel_at is not None and self.calls == self.cancel_at[0]:
            self.cancel_at[1].cancel()
        if self.interrupted[0]:
            for slot, start in zip(slots, starts, strict=True):
                del self.held[slot][start:]
            raise Cancelled("the completion was cancelled")
        if self.fail_at is not None and self.calls == self.fail_at:
            # A call that fails half-way leaves invalid content.
            for slot, start in zip(slots, starts, strict=True):
                del self.held[slot][start:]
            raise DeviceError("the fake device is out of memory; ask for fewer tokens")


def make_manifest(
    size: int,
    *,
    head: int | None = None,
    end: tuple[int, ...] = (0,),
    begin: int | None = None,
    fim: FimTemplates | None = None,
    repository: RepositoryTokens | None = None,
    files: dict[str, str] | None = None,
    context_length: int = 256,
    copying: tuple[float, ...] = (),
) -> Manifest:
    """A small manifest that fits a vocabulary of ``size`` entries and `ATTENTION_GRAPH`."""
    return Manifest(
        name="toy",
        architecture="toy",
        precision="fp32",
        context_length=context_length,
        graph=GraphNames(),
        key_value=KeyValueLayout(layers=1, heads=1, head_size=16),
        control=ControlIds(begin=begin, end=end),
        vocabulary=VocabularySizes(tokenizer=size, embedding=head or size, head=head or size),
        files=files or {"model.onnx": "0" * 64, "tokenizer.json": "0" * 64},
        fim=fim,
        repository=repository,
        copying=copying,
    )


def fake_completer(
    tokenizer: Tokenizer,
    logits_of: LogitsOf | None = None,
    *,
    begin: int | None = None,
    fim: FimTemplates | None = None,
    context_length: int = 256,
    head: int | None = None,
    slots: int = 8,
    copying: tuple[float, ...] = (),
) -> tuple[Completer, FakeSession]:
    """A completer of real parts around a `FakeSession` (default: a hash model). Returns both."""
    size = tokenizer.vocabulary.size
    session = FakeSession(logits_of or hash_model(head or size), context_length=context_length, slots=slots)
    end, *_ = control_ids(tokenizer)
    manifest = make_manifest(
        size, head=head, end=(end,), begin=begin, fim=fim, context_length=context_length, copying=copying
    )
    info = ModelInfo(
        path="toy",
        name="toy",
        device="cpu",
        provider="fake",
        precision="fp32",
        vocabulary=size,
        context_length=context_length,
        prefix_index="sorted",
        fim_orders=() if fim is None else tuple(fim.templates),
    )
    completer = Completer(session, tokenizer, SortedIndex(tokenizer.vocabulary), manifest, info)
    # Passes take no time: so the chunks of a prefill do not depend on how busy the machine is.
    completer._cache._clock = completer._drafters._clock = lambda: 0.0
    return completer, session


def endless_completer(salt: int = 0, **options: Any) -> tuple[Completer, FakeSession]:
    """A completer over the byte-level toy vocabulary whose model writes readable text on one line without end."""
    tokenizer = toy_tokenizer("byte-level")
    return fake_completer(tokenizer, readable_model(tokenizer, salt, lines=False), **options)
