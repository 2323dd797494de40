"""Many users on one model: passes shared among them, against the same requests one after the other.

Each user types along in a document of their own, one request every few characters, as soon as the last one is answered.
On: `BatchingCompleter`. Off: the same with a lock that lets one user in at a time, so every user still has keys and
values of their own and only the passes differ. The two take turns. Every document is read before the measurement.
With more users than seats, some documents lose their keys and values and are read again.

    python -m benchmarks.continuous_batching [--model FOLDER] [--repetitions N] [--users 1 16]
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from benchmarks.arguments import parser_for
from benchmarks.documents import own_sources
from benchmarks.tables import BenchOptions, Cell, Ratio, Report, Table, as_text, machine, median, percentile
from engine import BatchingCompleter, BatchStatistics, CompletionRequest, StopParams

USERS = (1, 4, 16, 64)
SEATS = 16
REQUESTS = 400
"""Of each user in one measurement, at most."""
SECONDS = 4.0
"""How long one measurement takes: no user is ready before the others, or the last ones would be alone."""
ROUNDS = 3
MAX_NEW_TOKENS = 24
PREFIX_CHARACTERS = 1800
SUFFIX_CHARACTERS = 600
STEP = 4
"""Characters that are typed between two requests."""
SEED = 1911
CONTEXT_TOKENS = 1024
GOAL = 2.5
"""Times the throughput of one after the other, with 16 users."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One measurement: all users' texts, the seconds that each request took, how long all took together."""

    texts: tuple[tuple[str, ...], ...]
    latencies: tuple[float, ...]
    seconds: float
    processor_seconds: float
    mean_batch: float
    cache_share: float

    @property
    def requests_a_second(self) -> float:
        """Throughput."""
        return len(self.latencies) / self.seconds

    @property
    def characters_a_second(self) -> float:
        """Characters of completions."""
        return sum(len(text) for texts in self.texts for text in texts) / self.seconds


def typed(users: int, round_number: int) -> list[list[CompletionRequest]]:
    """The requests of each user: a document of their own, with the cursor some characters further each time."""
    generator = random.Random(SEED + round_number)
    sources = [source for source in own_sources() if len(source) > PREFIX_CHARACTERS + STEP * REQUESTS]
    stop = StopParams(max_new_tokens=MAX_NEW_TOKENS)
    found: list[list[CompletionRequest]] = []
    for user in range(users):
        text = generator.choice(sources)
        cursor = generator.randrange(PREFIX_CHARACTERS, len(text) - STEP * (REQUESTS + 1))
        start = text.find("\n", cursor - PREFIX_CHARACTERS) + 1
        # A first line of their own: nobody else's keys and values are of use.
        prefix = f"# {user} {round_number}\n" + text[start:cursor]
        after = text.find("\n", cursor + STEP * REQUESTS) + 1
        suffix = text[after : after + SUFFIX_CHARACTERS] if after else ""
        ends = range(cursor, cursor + STEP * (REQUESTS + 1), STEP)
        found.append([CompletionRequest(prefix + text[cursor:end], suffix, stop=stop) for end in ends])
    return found


def measure(
    completer: BatchingCompleter, asked: Sequence[Sequence[CompletionRequest]], turn: AbstractContextManager[object]
) -> Outcome:
    """All users at once, each with a thread; the first request of each, which reads the document, does not count."""
    latencies: list[list[float]] = [[] for _ in asked]
    texts: list[list[str]] = [[] for _ in asked]
    ready = threading.Barrier(len(asked) + 1)

    def complete(user: int, request: CompletionRequest) -> str:
        with turn:
            found = completer.complete(request, document=str(user)).completions
        return found[0].text if found else ""

    def work(user: int) -> None:
        complete(user, asked[user][0])
        ready.wait()
        ready.wait()
        until = time.perf_counter() + SECONDS
        for request in asked[user][1:]:
            began = time.perf_counter()
            if began > until:
                break
            texts[user].append(complete(user, request))
            latencies[user].append(time.perf_counter() - began)

    threads = [threading.Thread(target=work, args=(user,)) for user in range(len(asked))]
    for thread in threads:
        thread.start()
    ready.wait()
    before = completer.statistics
    began, worked = time.perf_counter(), time.process_time()
    ready.wait()
    for thread in threads:
        thread.join()
    seconds, processor_seconds = time.perf_counter() - began, time.process_time() - worked
    mean_batch, cache_share = _between(before, completer.statistics)
    flat = tuple(value for values in latencies for value in values)
    return Outcome(tuple(map(tuple, texts)), flat, seconds, processor_seconds, mean_batch, cache_share)


def _between(before: BatchStatistics, after: BatchStatistics) -> tuple[float, float]:
    steps, rows = after.steps - before.steps, after.step_rows - before.step_rows
    prompt, reused = after.prompt_tokens - before.prompt_tokens, after.reused_tokens - before.reused_tokens
    return rows / max(1, steps), reused / max(1, prompt)


def run(options: BenchOptions, numbers: Sequence[int] = USERS) -> Report:
    """Measure every number of users, on and off in turn."""
    rounds = options.repetitions or ROUNDS
    turns: dict[str, Callable[[], AbstractContextManager[object]]] = {"off": threading.Lock, "on": nullcontext}
    rows: list[tuple[Cell, ...]] = []
    ratios: list[Ratio] = []
    for done, users in enumerate(numbers):
        completers = {name: _loaded(options, users) for name in turns}  # neither finds what the other has read
        for name in turns:  # nobody pays for what is done on first use
            measure(completers[name], typed(users, rounds), turns[name]())
        found: dict[str, list[Outcome]] = {name: [] for name in turns}
        for number in range(rounds):
            asked = typed(users, number)
            for name in turns if number % 2 == 0 else reversed(turns):
                found[name].append(measure(completers[name], asked, turns[name]()))
            options.progress(done * rounds + number + 1, len(numbers) * rounds)
        rows += [_row(users, name, found[name]) for name in turns]
        each = [on.requests_a_second / off.requests_a_second for on, off in zip(found["on"], found["off"], strict=True)]
        ratios.append(
            Ratio(f"{users} users: on / off, requests a second", median(each), at_least=GOAL if users == 16 else None)
        )
        rows[-1] = (*rows[-1][:-1], _same(found))
    columns = (
        "users",
        "batching",
        "requests/s",
        "characters/s",
        "ms p50",
        "ms p95",
        "processor ms",
        "batch",
        "cached",
        "same texts",
    )
    conditions: dict[str, Cell] = {
        "requests": f"for {SECONDS:g} s, {rounds} rounds, up to {MAX_NEW_TOKENS} tokens each",
        "seats": f"as many as users, at most {SEATS}",
    }
    return Report(
        "continuous batching",
        conditions,
        (Table("users who type without a pause", columns, tuple(rows)),),
        tuple(ratios),
    )


def _loaded(options: BenchOptions, users: int) -> BatchingCompleter:
    return BatchingCompleter.load(
        options.model,
        device=options.device,
        context_tokens=CONTEXT_TOKENS,
        seats=min(users, SEATS),
        most_waiting=users,
    )


def _row(users: int, name: str, outcomes: Sequence[Outcome]) -> tuple[Cell, ...]:
    latencies = [1000 * value for outcome in outcomes for value in outcome.latencies]
    return (
        users,
        name,
        median([outcome.requests_a_second for outcome in outcomes]),
        median([outcome.characters_a_second for outcome in outcomes]),
        median(latencies),
        percentile(latencies, 95),
        median([1000 * outcome.processor_seconds / len(outcome.latencies) for outcome in outcomes]),
        median([outcome.mean_batch for outcome in outcomes]),
        f"{median([outcome.cache_share for outcome in outcomes]):.1%}",
        "",
    )


def _same(found: dict[str, list[Outcome]]) -> str:
    pairs = [
        (on, off)
        for one, other in zip(found["on"], found["off"], strict=True)
        for ons, offs in zip(one.texts, other.texts, strict=True)
        for on, off in zip(ons, offs, strict=False)  # one has come further
    ]
    return f"{sum(on == off for on, off in pairs)} of {len(pairs)}"


def main() -> None:
    """Print the report."""
    parser = parser_for(__doc__, model=True)
    parser.add_argument("--repetitions", type=int, default=ROUNDS, metavar="N", help=f"rounds (default: {ROUNDS})")
    parser.add_argument("--users", type=int, nargs="+", default=USERS, metavar="N", help="(default: 1 4 16 64)")
    args = parser.parse_args()
    print("\n".join(f"  {name}: {value}" for name, value in machine().items()))
    print(as_text(run(BenchOptions(model=args.model, repetitions=args.repetitions), args.users)))


if __name__ == "__main__":
    main()
