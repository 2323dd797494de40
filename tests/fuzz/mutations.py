"""Makes a hostile file from a good one: by its structure and by its bytes. Everything random comes from a seed."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

DEEP = "@deep@"
"""Stands for nesting that no JSON writer would make."""
_LONG = 100_000
_VALUES: Sequence[Callable[[random.Random], Any]] = (
    lambda chance: None,
    lambda chance: chance.random() < 0.5,
    lambda chance: chance.choice([-1, 0, 1, 2, 255, 2**31 - 1, 2**31, 2**32, 2**62, 2**63, 2**64, 10**30, -(10**30)]),
    lambda chance: chance.choice([0.5, -1.5, 1e308, float("nan"), float("inf"), -float("inf")]),
    lambda chance: chance.choice(["", "a", "\0", "\ud800", "\x1b[2J", "../../secret", "/dev/zero", "{}", "%d", "ü▁Ġ"]),
    lambda chance: "x" * chance.choice([100, 5000, _LONG]),
    lambda chance: [],
    lambda chance: {},
    lambda chance: [chance.randrange(1000) for _ in range(chance.choice([1, 10, 3000]))],
    lambda chance: {f"key{number}": number for number in range(chance.choice([1, 10, 3000]))},
    lambda chance: [[[[["deep"]]]]],
    lambda chance: DEEP,
)


def hostile_value(chance: random.Random) -> Any:
    """A value of another type, too large, too long, or too deep."""
    return chance.choice(_VALUES)(chance)


def mutate_json(raw: Any, chance: random.Random, changes: int) -> Any:
    """``raw`` with some of its values changed, dropped, doubled, swapped or renamed, in place."""
    for _ in range(changes):
        places = list(_places(raw))
        if not places:
            return hostile_value(chance)
        holder, key = chance.choice(places)
        kind = chance.randrange(6)
        if kind <= 2:
            holder[key] = hostile_value(chance)
        elif kind == 3:
            del holder[key]
        elif kind == 4:
            other, place = chance.choice(places)
            holder[key] = json.loads(json.dumps(other.get(place) if isinstance(other, dict) else holder[key]))
        elif isinstance(holder, dict):
            holder[str(hostile_value(chance))[:100]] = holder[key]
        else:
            holder.insert(key, holder[key])
    return raw


def _places(raw: Any, most: int = 400) -> "list[tuple[Any, Any]]":
    """Places of values: the container and the name or index in it. Of long lists and tables only a few."""
    found: list[tuple[Any, Any]] = []
    waiting = [raw]
    while waiting and len(found) < most:
        holder = waiting.pop(0)
        if isinstance(holder, dict):
            keys: list[Any] = list(holder)[:40]
        elif isinstance(holder, list):
            keys = list(range(min(len(holder), 10)))
        else:
            continue
        for key in keys:
            found.append((holder, key))
            waiting.append(holder[key])
    return found


def json_bytes(raw: Any, chance: random.Random) -> bytes:
    """As JSON, sometimes cut off or with a changed byte."""
    text = json.dumps(raw)
    nest = chance.choice([("[", "]"), ('{"a":', "}")])
    depth = chance.choice([50, 900, 30_000])
    data = text.replace(f'"{DEEP}"', nest[0] * depth + "1" + nest[1] * depth).encode()
    return mutate_bytes(data, chance, 1) if chance.random() < 0.1 else data


def mutate_bytes(data: bytes, chance: random.Random, changes: int) -> bytes:
    """Change, insert, remove or repeat bytes, or cut the file off."""
    changed = bytearray(data)
    for _ in range(changes):
        at = chance.randrange(len(changed) + 1)
        length = chance.choice([1, 1, 1, 2, 4, 8, 64])
        kind = chance.randrange(6)
        if kind == 0:
            changed[at : at + length] = chance.randbytes(length)
        elif kind == 1:
            changed[at : at + length] = chance.choice([b"\0", b"\xff"]) * length
        elif kind == 2:
            changed[at:at] = chance.randbytes(length)
        elif kind == 3:
            del changed[at : at + length]
        elif kind == 4:
            changed[at:at] = changed[max(0, at - length * 8) : at]
        elif chance.random() < 0.3:
            del changed[at:]
    return bytes(changed)
