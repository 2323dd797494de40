"""The decoding strategies, a class each: how many covers it starts from, whether it can stream, how it writes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

from engine.config import DRAWS, SamplingParams
from engine.config import Strategy as StrategyName
from engine.decoding.beam_search import BeamParams, beam_search, best_first_search
from engine.decoding.candidates import Candidate, Decoder
from engine.decoding.cover_penalty import cover_penalty
from engine.decoding.lookahead import BranchQuadrant, ChaoticPoint, ForkTest, LookAhead
from engine.decoding.ranking import write_ranked
from engine.decoding.second_view import SecondView
from engine.healing.first_step import Healed, choose_covers
from engine.healing.k_step import Cover
from engine.sampling import BasisAware, Chooser, TokenChooser, Transform, build_chooser
from engine.types import TokenIds


@dataclass(frozen=True, slots=True)
class Run:
    """What a strategy needs to write one request. ``chooser`` chooses from rows over the vocabulary. On a row of
    covers, ``penalty`` takes the place of the chooser's penalties.
    """

    decoder: Decoder
    healed: Healed
    chooser: Chooser
    penalty: Transform | None


@dataclass(frozen=True, slots=True)
class Strategy(ABC):
    """One strategy for one request that asks for ``count`` candidates. It is used in this order:

    `covers_wanted` and `compares` say what healing must find out, `run` connects the strategy to what was found,
    `covers` gives the covers that the candidates begin with, and `write` writes the candidates.
    """

    params: SamplingParams
    count: int

    can_stream: ClassVar[bool] = False
    """Whether a single candidate is written from left to right, so that its beginning is known before its end."""
    follows_rows: ClassVar[bool] = False
    """Whether a single candidate asks only for the row after its own tokens. Only then can drafts help."""
    compares: ClassVar[bool] = False
    """Whether it also needs the model's rows with less context (`SecondView`)."""

    @property
    def covers_wanted(self) -> int:
        """How many covers it needs."""
        return self.count

    @property
    def best_only(self) -> bool:
        """Whether it needs only the most probable cover."""
        return self.covers_wanted == 1 and not self.params.draws

    def run(
        self,
        decoder: Decoder,
        healed: Healed,
        tail: TokenIds,
        *,
        basis_aware: BasisAware | None = None,
        second: SecondView | None = None,
    ) -> Run:
        """Connect the strategy to a healed prompt that ends in ``tail``.

        ``basis_aware`` and ``second`` are given if the parameters ask for them.
        """
        if second is not None and second.cache is decoder.cache:
            decoder = replace(decoder, companion=second.beside)
        chooser = build_chooser(
            self.params,
            line_began=meets_line_start(decoder),
            reference=second or (lambda history: None),
            basis_aware=basis_aware,
        )
        penalty = cover_penalty(self.params, healed.first, decoder.prompt, len(tail))
        return Run(decoder, healed, chooser, penalty)

    def covers(self, run: Run) -> list[Cover]:
        """The covers that the candidates begin with, the first choice in front."""
        return choose_covers(run.healed, run.chooser.for_covers(run.penalty), self.covers_wanted)

    @abstractmethod
    def write(self, run: Run, covers: Sequence[Cover]) -> Iterator[list[Candidate]]:
        """Yield the candidates, best first: while they are written, if they can be shown then, and once all have ended.

        Raises `engine.errors.Cancelled` or `engine.errors.DeviceError`.
        """


class TokenByToken(Strategy):
    """Each token is chosen from its own row only: greedy, and every way to draw.

    Of several candidates the first choice stays in front and the others follow by confidence.
    """

    can_stream = True
    follows_rows = True

    def write(self, run: Run, covers: Sequence[Cover]) -> Iterator[list[Candidate]]:
        """See `Strategy`."""
        if self.count == 1:
            yield from self._stream(run, covers[0])
            return
        ranked = write_ranked(run.decoder, run.healed, covers, self._token_choosers(run, covers))
        yield sorted(ranked, key=lambda candidate: candidate.cover != covers[0])

    def _stream(self, run: Run, cover: Cover) -> Iterator[list[Candidate]]:
        (chooser,) = self._token_choosers(run, [cover])
        candidate = run.decoder.start(cover)
        for _ in run.decoder.write(candidate, chooser):
            yield [candidate]
        yield [candidate]

    def _token_choosers(self, run: Run, covers: Sequence[Cover]) -> list[TokenChooser]:
        """What chooses the tokens after each cover.

        Each candidate draws from a random stream of its own, so its text does not depend on how many candidates there
        are.
        """
        return [run.chooser.for_candidate(number) for number in range(len(covers))]


class WithReference(TokenByToken):
    """KL-guided temperature: as `TokenByToken`, compared with the model that has less context."""

    compares = True
    follows_rows = False


class LookingAhead(TokenByToken):
    """As `TokenByToken`, but at a fork each option is followed for a while. A subclass says what a fork is."""

    follows_rows = False

    @property
    def covers_wanted(self) -> int:
        """See `Strategy`."""
        return max(self.count, self.params.sed_branches)

    @property
    @abstractmethod
    def fork(self) -> ForkTest:
        """What a fork is."""

    def covers(self, run: Run) -> list[Cover]:
        """See `Strategy`."""
        rivals = choose_covers(run.healed, Chooser((), None).for_covers(run.penalty), self.covers_wanted)
        if len(rivals) > 1 and self.fork.of_covers(run.healed.first, rivals):
            return LookAhead(run.decoder, self.params, self.fork, run.chooser).first(rivals)[: self.count]
        return super().covers(run)[: self.count]

    def _token_choosers(self, run: Run, covers: Sequence[Cover]) -> list[TokenChooser]:
        choosers = [run.chooser.for_candidate(number) for number in range(len(covers))]
        return [
            LookAhead(run.decoder, self.params, self.fork, chooser, cover.typed)
            for chooser, cover in zip(choosers, covers, strict=True)
        ]


class LookingAheadAtChaoticPoints(LookingAhead):
    """SED: a fork is where the second best is nearly as good as the best."""

    @property
    def fork(self) -> ForkTest:
        """See `LookingAhead`."""
        return ChaoticPoint(self.params.sed_ratio)


class LookingAheadAtTheGate(LookingAhead):
    """The entropy gate: a fork is where there are a few good options."""

    @property
    def fork(self) -> ForkTest:
        """See `LookingAhead`."""
        return BranchQuadrant(self.params.gate_entropy_bits, self.params.gate_varentropy_bits)


class Beams(Strategy):
    """Beam search: the best hypotheses of each length advance together."""

    @property
    def covers_wanted(self) -> int:
        """See `Strategy`."""
        return self.params.beam_width

    def write(self, run: Run, covers: Sequence[Cover]) -> Iterator[list[Candidate]]:
        """See `Strategy`."""
        params = BeamParams(self.params.beam_width, self.params.length_alpha, self.count, run.chooser)
        yield self._search(run.decoder, covers, params)

    def _search(self, decoder: Decoder, covers: Sequence[Cover], params: BeamParams) -> list[Candidate]:
        return beam_search(decoder, covers, params)


class BestFirst(Beams):
    """Best-first beam search: what `Beams` finds, with fewer hypotheses expanded."""

    def _search(self, decoder: Decoder, covers: Sequence[Cover], params: BeamParams) -> list[Candidate]:
        return best_first_search(decoder, covers, params)


class Branches(Strategy):
    """One candidate from each of the best covers, greedily, ranked by confidence (CoT-decoding)."""

    @property
    def covers_wanted(self) -> int:
        """See `Strategy`."""
        return max(self.count, self.params.branches)

    def write(self, run: Run, covers: Sequence[Cover]) -> Iterator[list[Candidate]]:
        """See `Strategy`."""
        yield write_ranked(run.decoder, run.healed, covers, [run.chooser] * len(covers))[: self.count]


_CLASSES: Mapping[StrategyName, type[Strategy]] = MappingProxyType(
    {
        "greedy": TokenByToken,
        "sample": TokenByToken,
        "edt": TokenByToken,
        "adapt": TokenByToken,
        "kl": WithReference,
        "entropy-gate": LookingAheadAtTheGate,
        "sed": LookingAheadAtChaoticPoints,
        "beam": Beams,
        "best-first": BestFirst,
        "branch": Branches,
    }
)


def strategy_for(params: SamplingParams, count: int) -> Strategy:
    """The strategy of a request for ``count`` candidates. At temperature 0 every strategy that draws is greedy."""
    if params.strategy in DRAWS and not params.draws:
        return TokenByToken(params, count)
    return _CLASSES[params.strategy](params, count)


def can_stream(name: StrategyName) -> bool:
    """Whether a strategy writes a single completion from left to right; its beginning is then known before its end."""
    return _CLASSES[name].can_stream


def meets_line_start(decoder: Decoder) -> Callable[[Sequence[int]], bool]:
    """Whether a line has just begun: nothing but white space since the last line break (AdapT)."""
    blank = not decoder.line_prefix.strip()

    def began(written: Sequence[int]) -> bool:
        for token in reversed(written):
            data = decoder.vocabulary.token_bytes[token]
            if rest := data.rstrip(b" \t"):
                return rest.endswith((b"\n", b"\r"))
        return blank

    return began
