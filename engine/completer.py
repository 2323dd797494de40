"""The public way in: a model folder becomes a `Completer`, a request becomes completions."""

import math
import threading
import time
from collections.abc import Callable, Generator
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

from engine.config import DeviceChoice, SamplingParams
from engine.decoding.candidates import Candidate, Decoder
from engine.decoding.second_view import SecondViews
from engine.decoding.strategies import strategy_for
from engine.decoding.suffix_overlap import common_end, trim_suffix_overlap
from engine.drafting.drafters import Drafters
from engine.drafting.model_drafts import Writer
from engine.healing.first_step import Healed, heal
from engine.healing.known_words import KnownWords
from engine.healing.prefix_index import PrefixIndex
from engine.healing.trace import trace_healing
from engine.loading import BUNDLED_MODEL, LoadedModel, load_model
from engine.model_folder.contract import Clause, check_contract, clauses
from engine.model_folder.manifest import Manifest
from engine.model_folder.output_basis import load_output_basis
from engine.prepared import Prepared, distinct, finished
from engine.prompt.builder import PromptBuilder
from engine.prompt.fim import Prompt
from engine.reading import Reader
from engine.runtime.checkpoint import BudgetExceeded, Checkpoint
from engine.runtime.copy_mixture import copier
from engine.runtime.model_session import ModelSession
from engine.runtime.place_store import PlaceStore
from engine.runtime.token_cache import CUDA_PREFILL_CHUNK, PREFILL_CHUNK, TokenCache
from engine.sampling import BasisAware
from engine.sampling.bat import require_highs
from engine.text.tokenizer import Tokenizer
from engine.types import (
    CancellationToken,
    CompletionRequest,
    CompletionResult,
    DraftCounts,
    HealingTrace,
    ModelInfo,
    Timing,
)

DEFAULT_CONTEXT_TOKENS = 2048
"""Positions reserved in the key/value cache unless the caller asks for others; models often allow many more."""
SMALL_CONTEXT = 1024
"""The same for the bundled model when it drafts for another model."""


class Completer:
    """A loaded model. One request runs at a time and the others wait for it, so cancel requests that are no longer
    wanted.
    """

    def __init__(
        self,
        session: ModelSession,
        tokenizer: Tokenizer,
        index: PrefixIndex,
        manifest: Manifest,
        info: ModelInfo,
        small: Callable[[], Writer] | None = None,
    ) -> None:
        """Connect parts that are already loaded; `load` reads them from a folder. Raises `ContractError`.

        ``small`` loads a small model that may draft for this one (`engine.drafting.model_drafts`).
        """
        check_contract(manifest, tokenizer.vocabulary)
        chunk = CUDA_PREFILL_CHUNK if info.device == "cuda" else PREFILL_CHUNK
        self._tokenizer = tokenizer
        self._index = index
        self._manifest = manifest
        self._info = info
        self._ends = tokenizer.vocabulary.control_ids | set(manifest.control.end)
        self.notices: tuple[str, ...] = ()
        copies = copier(manifest.copying, tokenizer.vocabulary)
        self._wire(TokenCache(session, chunk=chunk, copier=copies), small)

    def _wire(self, cache: TokenCache, small: Callable[[], Writer] | None) -> None:
        """What belongs to one sequence of requests."""
        tokenizer, index, manifest = self._tokenizer, self._index, self._manifest
        self._cache = cache
        # Not through `self`: a reference cycle would keep the weights in memory until Python collects cycles.
        prompts = PromptBuilder(tokenizer, manifest, lambda: cache.capacity, copies=cache.copies)
        self._reader = Reader(prompts, cache)
        self._second_views = SecondViews(prompts, cache, tokenizer, index)
        self._drafters = Drafters(cache, tokenizer, self._ends, small)
        self._bat: BasisAware | None = None
        self._lock = threading.Lock()

    def beside(self, session: ModelSession, clock: Callable[[], float], store: PlaceStore | None = None) -> "Completer":
        """Another completer of this model, which may work at the same time, over a ``session`` of its own.

        ``clock`` gives the seconds by which it learns how fast it reads. It makes no drafts. Many may share ``store``.
        """
        other = copy(self)
        other._wire(self._cache.over(session, clock, store), None)
        return other

    def turn_to(self, owner: str) -> None:
        """From now on the requests are of ``owner``: see `TokenCache.turn_to`. What was tokenised is forgotten too."""
        with self._lock:
            if self._cache.turn_to(owner):
                self._reader.prompts.forget()

    @classmethod
    def load(
        cls,
        model_dir: Path | None = None,
        *,
        device: DeviceChoice = "auto",
        threads: int | None = None,
        context_tokens: int = DEFAULT_CONTEXT_TOKENS,
    ) -> "Completer":
        """Load a model folder (default: the bundled model), or a folder or graph of another exporter, on a device.

        ``threads`` bounds the threads of one forward pass (default: one per physical core); ``context_tokens`` bounds
        the memory of the key/value cache. Raises `ModelFolderError` (`ManifestError`, `ContractError`, `WeightsError`)
        or `DeviceError`, each in one line. Lines for the user, such as a fall-back to the CPU, are in `notices`.
        """
        loaded = load_model(model_dir, device, threads, context_tokens)
        load_small = partial(cls.load, device="cpu", threads=threads, context_tokens=SMALL_CONTEXT)
        return cls.of(loaded, None if loaded.folder == BUNDLED_MODEL else load_small)

    @classmethod
    def of(cls, loaded: LoadedModel, small: Callable[[], Writer] | None = None) -> "Completer":
        """The completer of a loaded model; ``small`` as for the constructor."""
        manifest, tokenizer, session = loaded.manifest, loaded.tokenizer, loaded.session
        info = ModelInfo(
            path=str(loaded.folder),
            name=manifest.name,
            device=session.device.kind,
            provider=session.provider,
            precision=manifest.precision,
            vocabulary=tokenizer.vocabulary.size,
            context_length=session.context_length,
            prefix_index=loaded.index.name,
            fim_orders=() if manifest.fim is None else tuple(manifest.fim.templates),
            reading_rows=session.reading_rows,
        )
        completer = cls(session, tokenizer, loaded.index, manifest, info, small)
        completer.notices = loaded.notices
        completer._cache.measure(manifest.control.end[0])
        completer._info = replace(info, tokens_per_s=completer._cache.tokens_per_s)
        return completer

    @property
    def info(self) -> ModelInfo:
        """What is loaded, and where it runs."""
        return self._info

    @property
    def manifest(self) -> Manifest:
        """The model folder's manifest."""
        return self._manifest

    @property
    def contract(self) -> tuple[Clause, ...]:
        """What was checked about tokenizer and model, clause by clause."""
        return clauses(self._manifest, self._tokenizer)

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer with its vocabulary, for inspection."""
        return self._tokenizer

    def keep_places(self, limit_bytes: int) -> None:
        """Keep up to ``limit_bytes`` of the keys and values of places that were read before, so that going back to one
        costs no pass.

        Nothing is kept before the first call, on a GPU, or with a graph that copies keys and values in every step.
        """
        with self._lock:
            self._cache.places.limit(limit_bytes)

    def read(self, request: CompletionRequest, cancel: CancellationToken, rest: float = 0.0) -> None:
        """Read all context of ``request``. Completing it later then reads only the line at the cursor.

        After each forward pass it rests for ``rest`` times as long as the pass took. Raises `Cancelled`, `RequestError`
        or `DeviceError`; what was read by then is kept.
        """
        with self._lock:
            self._reader.read_ahead(request, cancel, rest)

    def complete(
        self,
        request: CompletionRequest,
        cancel: CancellationToken | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> CompletionResult:
        """Distinct completions of the request, best first; none if the model has nothing to add.

        Blocks; call it from a thread of its own and set ``cancel`` to stop it before its next model call. Raises
        `Cancelled`, `RequestError`, `DeviceError` or `ModelFolderError`. A time budget that runs out is not an error:
        what was written by then is returned, with ``stop`` ``budget``.

        If one completion is asked for and the strategy writes it from left to right, ``on_text`` is called on this
        thread after every token, with the text so far. The completion will begin with that text, or be a beginning of
        it.
        """
        with self._lock:
            # 1. Prompt, prefill, healed first step.
            started = time.perf_counter()
            try:
                prepared = self._prepare(request, request.max_completions, cancel or CancellationToken())
            except BudgetExceeded:
                total = _milliseconds_since(started)
                return CompletionResult((), Timing(prefill_ms=total, total_ms=total), 0, 0)
            # 2. Decode steps.
            decode_started = time.perf_counter()
            candidates: list[Candidate] = []
            for candidates in prepared.write():
                if on_text is not None and request.max_completions == 1:
                    _show(candidates, on_text)
            # 3. Completions, cut where they run into the suffix.
            completions = [finished(candidate, prepared, request) for candidate in candidates]
            timing = replace(
                prepared.timing,
                decode_ms=_milliseconds_since(decode_started),
                total_ms=_milliseconds_since(started),
            )
        return CompletionResult(
            distinct(completions),
            timing,
            len(prepared.prompt.ids),
            prepared.healed.reused,
            prepared.is_partial,
            DraftCounts() if prepared.drafter is None else prepared.drafter.counts,
        )

    def stream(self, request: CompletionRequest, cancel: CancellationToken | None = None) -> Generator[str, None, None]:
        """Yield the text of the best completion in pieces, each as soon as no later token can take it back.

        The pieces joined are the text that `complete` returns. Raises as `complete` does. The model is held until the
        iterator is exhausted or closed.
        """
        with self._lock:
            try:
                prepared = self._prepare(request, 1, cancel or CancellationToken())
            except BudgetExceeded:
                return
            sent = 0
            for candidate in chain.from_iterable(prepared.write()):
                decided = candidate.tracker.decided
                if candidate.tracker.ended is None:
                    end = len(decided) - common_end(decided, request.suffix)
                else:
                    end = len(trim_suffix_overlap(decided, request.suffix))
                if end > sent:
                    yield decided[sent:end]
                    sent = end

    def trace(self, request: CompletionRequest, count: int = 10) -> HealingTrace:
        """How the request would be healed, with the ``count`` most probable covers. Raises as `complete` does.

        A time budget is ignored, because without the forward pass there is nothing to show.
        """
        with self._lock:
            unhurried = replace(request, budget_ms=None)
            prepared = self._prepare(unhurried, request.max_completions, CancellationToken())
        return trace_healing(
            prepared.prompt,
            prepared.healed,
            prepared.covers,
            self._tokenizer.vocabulary,
            mode=request.healing.mode,
            count=count,
        )

    def _prepare(self, request: CompletionRequest, count: int, cancel: CancellationToken) -> Prepared:
        """From the request to the distribution of its first token."""
        # 1. From the request to token ids.
        started = time.perf_counter()
        deadline = math.inf if request.budget_ms is None else time.monotonic() + request.budget_ms / 1000
        checkpoint = Checkpoint(cancel, deadline)
        cancel.on_cancel(self._cache.interruptible())
        prompt, is_partial = self._reader.prompt(request)
        self._cache.copy_from(prompt.source, prompt.ids)
        tokenized = time.perf_counter()
        # 2. The distribution of the first step, as much of it as the strategy needs.
        params = request.sampling
        strategy = strategy_for(params, count)
        healed, words = self._first_step(request, prompt, checkpoint, best_only=strategy.best_only)
        # 3. What the strategy needs for writing, and the covers that its candidates begin with.
        alone = count == 1 and strategy.follows_rows and request.speculation == "auto"
        drafter = self._drafters.begin(request, prompt, cancel) if alone else None
        decoder = Decoder(
            cache=self._cache,
            prompt=prompt.ids,
            vocabulary=self._tokenizer.vocabulary,
            ends=self._ends,
            stop=request.stop,
            line_prefix=_line_prefix(request.prefix),
            checkpoint=checkpoint,
            first=healed.first,
            words=words,
            index=self._index,
            ahead=drafter,
        )
        run = strategy.run(
            decoder,
            healed,
            prompt.tail,
            basis_aware=self._basis_aware(params),
            second=self._second_views.beside(request, prompt, healed, decoder) if strategy.compares else None,
        )
        is_surprising = healed.first.surprise_bits > request.healing.max_surprise_bits
        covers = [] if is_surprising else strategy.covers(run)
        total_seconds = time.perf_counter() - tokenized
        timing = Timing(
            tokenize_ms=(tokenized - started) * 1000,
            heal_ms=(total_seconds - healed.model_seconds) * 1000,
            prefill_ms=healed.model_seconds * 1000,
        )
        return Prepared(prompt, healed, strategy, run, covers, timing, drafter, is_partial)

    def _first_step(
        self, request: CompletionRequest, prompt: Prompt, checkpoint: Checkpoint, *, best_only: bool
    ) -> tuple[Healed, KnownWords | None]:
        """The healed distribution of the first token, and the known words that changed it, if the request has any."""
        healed = heal(
            prompt, self._cache, self._tokenizer, self._index, request.healing, checkpoint, best_only=best_only
        )
        words = KnownWords.of(request.prefix, request.words, only=request.only_words) if request.words else None
        if words is None:
            return healed, None
        return replace(healed, first=words.first_step(healed.first, self._tokenizer.vocabulary)), words

    def _basis_aware(self, params: SamplingParams) -> BasisAware | None:
        """The rule of ``bat``. Raises `RequestError` if the model folder or the installation lacks what it needs."""
        if not (params.bat and params.draws):
            return None
        require_highs()
        if self._bat is None or self._bat.threshold != params.bat:
            self._bat = BasisAware(load_output_basis(Path(self._info.path), self._manifest), params.bat)
        return self._bat


def _show(candidates: list[Candidate], on_text: Callable[[str], None]) -> None:
    for candidate in candidates:
        if candidate.tracker.ended is None:
            on_text(candidate.tracker.text)


def _line_prefix(prefix: str) -> str:
    return prefix[prefix.rfind("\n") + 1 :]


def _milliseconds_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
