"""1 to 64 people who type, on one replica: passes shared among them, against one request after the other; or documents
parked, against documents that are read anew when they lost their seat.

Both kinds of replica run in one service, and take turns. Users type passages of real files (`User`); each round has
passages of its own. With ``--without-pauses`` nobody waits between two requests, which measures the throughput.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields

from benchmarks.keystrokes.passages import Passage
from benchmarks.tables import Cell, Progress, Ratio, Report, Table, median, no_progress
from benchmarks.team.outcome import COLUMNS, Outcome, outcome_of
from benchmarks.team.stream_client import StreamClient
from benchmarks.team.user import Record, User, while_typing
from engine import RequestError

USERS = (1, 4, 16, 64)
CHARACTERS = 2000
"""Of the lines that one user types; more than anybody does in one measurement."""
GOAL = 2.5
SLOWEST_MS = 300.0
MODES = ("off", "on")
COMPARED = ("batching", "parking")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """``texts`` are the files that are typed. Each measurement takes ``seconds``, and there are ``rounds`` of them for
    each number of ``users``. ``pauses`` False: nobody waits between two requests. ``compared``, one of `COMPARED`, is
    what the service has in one of its models only.
    """

    texts: Sequence[str]
    users: Sequence[int] = USERS
    seconds: float = 10.0
    rounds: int = 2
    pauses: bool = True
    seed: int = 0
    compared: str = COMPARED[0]
    progress: Progress = no_progress


def measure(url: str, model: str, passages: Sequence[Passage], options: LoadOptions) -> Outcome:
    """One measurement: a user for each of ``passages``."""
    return asyncio.run(_measure(url, model, passages, options))


async def _measure(url: str, model: str, passages: Sequence[Passage], options: LoadOptions) -> Outcome:
    client = StreamClient(url)
    users = [User(f"{options.seed}-{number}", each, client, model) for number, each in enumerate(passages)]
    began = 0.0

    def begin() -> None:
        nonlocal began
        began = time.perf_counter()
        for user in users:
            user.record = Record()

    await while_typing(users, options.seconds, 1.0 if options.pauses else None, begin)
    found = outcome_of([user.record for user in users], time.perf_counter() - began)
    client.close()
    await asyncio.sleep(0)
    return found


def run(url: str, options: LoadOptions) -> Report:
    """Every number of users, off and on in turn. The service at ``url`` has a model of each name in `MODES`."""
    rows: list[tuple[Cell, ...]] = []
    ratios: list[Ratio] = []
    for done, number in enumerate(options.users):
        found: dict[str, list[Outcome]] = {name: [] for name in MODES}
        for turn in range(options.rounds):
            passages = passages_of(options.texts, number, options.seed + turn)
            for name in MODES if turn % 2 == 0 else reversed(MODES):
                found[name].append(measure(url, name, passages, options))
            options.progress(done * options.rounds + turn + 1, len(options.users) * options.rounds)
        rows += [together(found[name]).row(number, name) for name in MODES]
        each = [
            on.answers_a_second / max(off.answers_a_second, 1 / off.seconds)
            for on, off in zip(found["on"], found["off"], strict=True)
        ]
        goal = GOAL if (number, options.compared) == (16, "batching") else None
        ratios.append(Ratio(f"{number} users: on / off, answers a second", median(each), at_least=goal))
    conditions: dict[str, Cell] = {
        "compared": options.compared,
        "requests": "POST /v1/complete, streamed, one line, over loopback; the next key cancels the one before",
        "users": "type as people do" if options.pauses else "ask again as soon as they have an answer",
        "measurements": f"{options.seconds:g} s each, {options.rounds} rounds, seed {options.seed}",
    }
    notes = (
        "answers: requests that came to their end; ms: until the whole answer",
        "p95 of all: cancelled requests counted for as long as they ran (Kaplan-Meier)",
        "cached, restored: share of the answers' prompt tokens; restored ones had been parked",
        "requests in a pass: of single tokens, on average over tokens",
    )
    return Report(
        "a team's service under load", conditions, (Table("load", COLUMNS, tuple(rows)),), tuple(ratios), notes
    )


def passages_of(texts: Sequence[str], users: int, seed: int) -> list[Passage]:
    """For each user, lines in the middle of a file. Raises `RequestError` where every file is too short."""
    long_enough = [text for text in texts if len(text) > 2 * CHARACTERS]
    if not long_enough:
        raise RequestError(f"every file has fewer than {2 * CHARACTERS} characters; give others with --files")
    chance = random.Random(seed)
    chance.shuffle(long_enough)
    return [_lines(long_enough[user % len(long_enough)], chance) for user in range(users)]


def _lines(text: str, chance: random.Random) -> Passage:
    start = text.rfind("\n", 0, chance.randrange(CHARACTERS, len(text) - CHARACTERS)) + 1
    end = text.find("\n", start + CHARACTERS - 1)
    first = start + len(text[start:end]) - len(text[start:end].lstrip())
    indent = "\t" if "\n\t" in text else "    "
    return Passage(text[:first], text[first:end].rstrip(), text[end:], indent)


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """All rounds as one."""
    values = {field.name: [getattr(outcome, field.name) for outcome in outcomes] for field in fields(Outcome)}
    return Outcome(**{name: sum(parts, start=type(parts[0])()) for name, parts in values.items()})
