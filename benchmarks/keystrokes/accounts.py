"""Turns what the client saw and what the model did into the figures of the report."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.keystrokes.editor import Request, TypingSession
from benchmarks.keystrokes.observed_server import CONTEXT_CHARACTERS, READING

COMPLETE = ("finished", "ahead")
"""Outcomes of calls that came to their end, asked for or in advance."""
MAX_TYPED = 64
"""Most characters that are typed while a call runs."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the model, as `benchmarks.keystrokes.observed_server` wrote it. Times are `time.monotonic`."""

    context: str
    started: float
    ended: float
    outcome: str
    texts: tuple[str, ...]
    written: str
    """The certain part of the best text when the call ended, for any reason."""
    passes: tuple[float, ...]
    read_tokens: int = 0
    written_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """One healing mode, or the peer. ``latency_ms`` holds one number for each request that was answered in time to be
    shown, before the next key. ``read`` tokens went through passes over several, ``written`` through passes over one.
    ``wrong`` characters were shown and are not what was typed there in the end.
    """

    requests: int
    latency_ms: tuple[float, ...]
    without_pass: int
    passes: int
    wasted: int
    stop_ms: tuple[float, ...]
    calls: int
    suggestions: int
    followed: int
    withdrawn: int
    accepted: int
    accepted_words: int
    kept: int
    keys: int
    read: int = 0
    written: int = 0
    wrong: int = 0

    @property
    def all_ms(self) -> tuple[float, ...]:
        """One number for each request; infinity if the next key came before the answer."""
        return (*self.latency_ms, *(math.inf,) * (self.requests - len(self.latency_ms)))

    @property
    def saved(self) -> int:
        """Keys that ghost text saved: the kept characters minus the keys for accepting them."""
        return self.kept - self.accepted - self.accepted_words


def read_calls(log: Path) -> list[Call]:
    """The calls of a log."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [
        Call(
            line["context"],
            line["started"],
            line["ended"],
            line["outcome"],
            tuple(line["texts"]),
            line["written"],
            tuple(line["passes"]),
            line["read"],
            line["written_tokens"],
        )
        for line in lines
        if "context" in line
    ]


def account(sessions: Sequence[TypingSession], calls: Sequence[Call]) -> Figures:
    """The figures of one mode: all its sessions, and the calls of its server while they lasted.

    Reading ahead is counted by its tokens, not by its passes, because it is not known which passes were useful.
    """
    read, written = sum(call.read_tokens for call in calls), sum(call.written_tokens for call in calls)
    calls = [call for call in calls if call.outcome != READING]
    everything = [request for session in sessions for request in session.requests]
    requests = [request for request in everything if not request.again]
    keys = [key for session in sessions for key in session.keys]
    shown = [request for request in everything if request.answered_s is not None and not request.stale]
    answered = [request for request in shown if not request.again]
    useful = [useful_passes(call, shown) for call in calls]
    wasted = [call for call, passes in zip(calls, useful, strict=True) if len(passes) < len(call.passes)]
    taken = [key for key in keys if key.kind.startswith("accept")]
    in_use = sorted(t for passes in useful for t in passes)
    return Figures(
        requests=len(requests),
        latency_ms=tuple((request.answered_s or 0.0) * 1000 - request.sent_s * 1000 for request in answered),
        without_pass=sum(not _any_between(in_use, r.sent_s, r.answered_s or 0.0) for r in answered),
        passes=sum(len(call.passes) for call in calls),
        wasted=sum(len(call.passes) for call in calls) - len(in_use),
        stop_ms=tuple(stop_times(requests, wasted)),
        calls=len(calls),
        suggestions=sum(session.suggestions for session in sessions),
        followed=sum(session.followed for session in sessions),
        withdrawn=sum(session.withdrawn for session in sessions),
        accepted=sum(key.kind == "accept" for key in taken),
        accepted_words=sum(key.kind == "accept word" for key in taken),
        kept=sum(len(key.insert) for key in taken),
        keys=len(keys),
        read=read,
        written=written,
        wrong=sum(session.wrong for session in sessions),
    )


def useful_passes(call: Call, answered: Iterable[Request]) -> tuple[float, ...]:
    """The passes of a call without which no answer would have been what it was: all of one that came to its end and
    served a request, else those before the last answer that it served with a part.
    """
    served = [request.answered_s for request in answered if request.answered_s is not None and serves(call, request)]
    if not served or call.outcome in COMPLETE:
        return call.passes if served else ()
    return tuple(began for began in call.passes if began <= max(served))


def serves(call: Call, request: Request) -> bool:
    """Whether an answer may have come from a call: at its place, or further along one of its texts.

    From a call that was stopped only a text can have come, which it had begun to write.
    """
    if request.answered_s is None or call.started > request.answered_s:
        return False
    known = call.context[-CONTEXT_CHARACTERS:]
    if request.context.endswith(known):
        return call.outcome in COMPLETE or (bool(request.shown) and call.written.startswith(request.shown))
    texts = call.texts if call.outcome in COMPLETE else (call.written,)
    return bool(request.shown) and any(_goes_on(known, text, request) for text in texts)


def stop_times(requests: Iterable[Request], wasted: Iterable[Call]) -> list[float]:
    """Milliseconds from a cancellation to the end of the running call that turned out to be useless.

    A call that writes what is being typed is passed to the next request. So of several cancellations, the first one
    counts after which something else was asked; if there is none, the last one.
    """
    following = list(pairwise(sorted(requests, key=lambda request: request.sent_s)))
    times: list[float] = []
    for call in wasted:
        met = [
            (older.cancelled_s, _may_serve(call, newer))
            for older, newer in following
            if older.cancelled_s is not None and call.started <= older.cancelled_s < call.ended
        ]
        if met:
            useless = [at for at, may_serve in met if not may_serve]
            times.append((call.ended - (useless[0] if useless else met[-1][0])) * 1000)
    return times


def _may_serve(call: Call, request: Request) -> bool:
    """Whether the text that a call had written agrees with what was typed until a request, as far as both reach."""
    known = call.context[-CONTEXT_CHARACTERS:]
    for count in range(MAX_TYPED):
        before, typed = request.context[: len(request.context) - count], request.context[len(request.context) - count :]
        if before.endswith(known):
            if not (call.written and typed):  # a call without text is passed on only at the same place
                return not typed
            return call.written.startswith(typed) or typed.startswith(call.written)
    return False


def _goes_on(known: str, text: str, request: Request) -> bool:
    """Whether the request was made ``count`` characters further on, where the call's text shows what was shown."""
    for count in range(1, len(text)):
        typed, rest = text[:count], text[count:]
        if request.context.endswith((known + typed)[-CONTEXT_CHARACTERS:]):
            return rest.startswith(request.shown) or request.shown.startswith(rest)
    return False


def _any_between(times: Sequence[float], start: float, end: float) -> bool:
    return any(start <= t <= end for t in times)
