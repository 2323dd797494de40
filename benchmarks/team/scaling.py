"""1 to 8 replicas and up to 1,000 users on the real ingress and router, without a GPU.

Each replica waits as long as a GPU would compute (`gpu_cost`). What is measured is ours and Ray's: whether N replicas
answer N times as much, and what ingress and router add to an answer. Everything but those runs in slow motion, GPU and
users alike, so that a small machine can carry 1,000 users: ``slow`` 20 leaves routing and batching as they are, and
divides the requests a second by 20. The overhead is not slowed down.

- *Throughput*: ``users_each`` users for each replica; each asks again `PAUSE_S` after an answer, as fast as a person
  who types. *linear* is N times the throughput of one replica.
- *Overhead*: the time of an answer at the client less its time in the replica.
- *Most*: as many users as it takes to keep a replica busy that does not wait: what one ingress process can pass on.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.keystrokes.passages import Passage
from benchmarks.tables import Cell, Progress, Ratio, Report, Table, no_progress, percentile
from benchmarks.team.processes import OTHERS, processor_s
from benchmarks.team.stream_client import Reply, StreamClient
from benchmarks.team.user import body_of
from benchmarks.team.waiting_gpu import OPENING

REPLICAS = (1, 2, 4, 8)
USERS_EACH = 125
SLOW = 20.0
PAUSE_S = 0.25
"""Between an answer and the next request of a user who types."""
MOST_USERS = (1, 2, 4, 8, 16, 32)
BOUND = 0.9
MOST_OVERHEAD_MS = 10.0
_LINE = "    value = compute(value, other)  # a line of a document\n"
DOCUMENT = Passage(_LINE * 270, "", _LINE * 70)
"""What the editor's client sends: 16,000 characters before the cursor, 4,000 after it."""


@dataclass(frozen=True, slots=True)
class ScalingOptions:
    """See the module. Each measurement takes ``seconds`` after ``warm_s``, in which all documents are opened."""

    replicas: Sequence[int] = REPLICAS
    users_each: int = USERS_EACH
    slow: float = SLOW
    seconds: float = 30.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The replies of one measurement, the share of all cores that was in use, and the processor time of each role."""

    replies: tuple[Reply, ...]
    seconds: float
    busy: float
    used_s: Mapping[str, float]

    @property
    def answers(self) -> list[Reply]:
        """Those that are answers."""
        return [reply for reply in self.replies if reply.is_answer]

    @property
    def a_second(self) -> float:
        """Answers a second."""
        return len(self.answers) / self.seconds

    def used_ms(self, role: str) -> float:
        """Processor time of the processes of a role, for each answer."""
        return 1000 * self.used_s.get(role, 0.0) / max(1, len(self.answers))

    @property
    def overhead_ms(self) -> list[float]:
        """Of each answer, the time outside its replica."""
        return [1000 * reply.seconds - float(reply.answer["timing_ms"]["total"]) for reply in self.answers]

    @property
    def cache_share(self) -> float:
        """The share of prompt tokens that were in a cache of their replica."""
        usages = [reply.answer["usage"] for reply in self.answers]
        reused = sum(int(usage["reused_tokens"]) for usage in usages)
        return reused / max(1, sum(int(usage["prompt_tokens"]) for usage in usages))

    @property
    def spread(self) -> str:
        """Answers of the least and the most used replica, over the mean."""
        counts = Counter(reply.answer["timing_ms"]["replica"] for reply in self.answers)
        mean = len(self.answers) / max(1, len(counts))
        return f"{min(counts.values()) / mean:.2f} to {max(counts.values()) / mean:.2f}" if counts else ""


def measure(url: str, model: str, users: int, seconds: float, pause_s: float, warm_s: float, seed: int = 0) -> Found:
    """``users`` ask, each again ``pause_s`` after an answer, about a document of their own."""
    return asyncio.run(_measure(url, model, users, seconds, pause_s, warm_s, seed))


async def _measure(url: str, model: str, users: int, seconds: float, pause_s: float, warm_s: float, seed: int) -> Found:
    client, chance = StreamClient(url), random.Random(seed)
    replies: list[Reply] = []
    body = body_of(DOCUMENT, "    val", model, 30_000.0)
    opening = {**body, "language": OPENING}

    async def use(number: int, first_s: float) -> None:
        await client.complete(opening, f"user-{seed}-{number}")
        await asyncio.sleep(first_s)
        while True:
            replies.append(await client.complete(body, f"user-{seed}-{number}"))
            await asyncio.sleep(pause_s * chance.uniform(0.5, 1.5))

    tasks = [asyncio.create_task(use(number, chance.random() * warm_s / 2)) for number in range(users)]
    await asyncio.sleep(warm_s)
    replies.clear()
    psutil.cpu_percent()
    before, began = processor_s(), time.perf_counter()
    await asyncio.sleep(seconds)
    while not replies:
        await asyncio.sleep(0.01)
    seconds, busy, after = time.perf_counter() - began, psutil.cpu_percent() / 100, processor_s()
    used_s = {role: used - before.get(role, 0.0) for role, used in after.items()}
    found = Found(tuple(replies), seconds, busy, used_s)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    client.close()
    await asyncio.sleep(0)
    return found


def run(options: ScalingOptions, ray_folder: Path | None, progress: Progress = no_progress) -> Report:
    """Start a service for each number of replicas, one after the other. Ray's files are in ``ray_folder``."""
    from benchmarks.team.service import config_of, serving
    from benchmarks.team.waiting_replica import WaitingReplica
    from lsp_server.team.config import ModelConfig

    found: list[Found] = []
    most: list[Found] = []
    for done, replicas in enumerate(options.replicas):
        gpu = ModelConfig(f"gpu-{options.slow:g}", "gpu", replicas, cpus=0.01, concurrent=256, waiting=256)
        none = ModelConfig("none-0", "none", 1, cpus=0.01, concurrent=256, waiting=256)
        with serving(config_of((gpu, none)), WaitingReplica, ray_folder) as url:
            users, pause_s = options.users_each * replicas, PAUSE_S * options.slow
            warm_s = 2 * pause_s + 0.05 * users
            found.append(measure(url, gpu.name, users, options.seconds, pause_s, warm_s, options.seed))
            if done == 0:
                most = [measure(url, none.name, number, options.seconds / 5, 0.0, 1.0) for number in MOST_USERS]
        progress(done + 1, len(options.replicas))
    return report(options, found, most)


def report(options: ScalingOptions, found: Sequence[Found], most: Sequence[Found]) -> Report:
    """The tables, and the ratios against the goals."""
    rows: list[tuple[Cell, ...]] = []
    ratios: list[Ratio] = []
    for replicas, each in zip(options.replicas, found, strict=True):
        linear = found[0].a_second * replicas / options.replicas[0]
        row = (replicas, options.users_each * replicas, each.a_second, each.a_second / max(linear, 1e-9))
        rows.append((*row, *_common(each), f"{each.cache_share:.1%}", each.spread))
        if replicas > options.replicas[0]:
            ratios.append(Ratio(f"{replicas} replicas: throughput / linear", row[-1], at_least=BOUND))
        overhead = percentile(each.overhead_ms or [float("nan")], 95)
        ratios.append(Ratio(f"{replicas} replicas: overhead p95, ms", overhead, at_most=MOST_OVERHEAD_MS))
    columns = ("replicas", "users", "answers/s", "of linear", *_COLUMNS, "cached", "answers of a replica / mean")
    other = tuple((number, each.a_second, *_common(each)) for number, each in zip(MOST_USERS, most, strict=False))
    conditions: dict[str, Cell] = {
        "slow motion": options.slow,
        "users": f"{options.users_each} for each replica, {PAUSE_S} s (times {options.slow:g}) between two requests",
        "measurements": f"{options.seconds:g} s each",
    }
    tables = (
        Table("replicas that wait as long as a GPU", columns, tuple(rows)),
        Table("a replica that does not wait", ("users", "answers/s", *_COLUMNS), other),
    )
    return Report("a team's service on many replicas", conditions, tables, tuple(ratios))


_PATH = ("proxy", "ingress", "replica", OTHERS)
_COLUMNS = ("overhead ms p50", "p95", "processor", "not answered", *(f"{role}, processor ms" for role in _PATH))


def _common(found: Found) -> tuple[Cell, ...]:
    overhead = found.overhead_ms or [float("nan")]
    return (
        percentile(overhead, 50),
        percentile(overhead, 95),
        f"{found.busy:.0%}",
        len(found.replies) - len(found.answers),
        *map(found.used_ms, _PATH),
    )
