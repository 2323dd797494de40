"""How good completions are: the figures behind ``midtoken evaluate``. Pure functions over texts."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, quantiles
from typing import Any

from engine import DocumentError

_IDENTIFIER = re.compile(r"\w*")
_ENDS_IN_IDENTIFIER = re.compile(r"\w\Z")


@dataclass(frozen=True, slots=True)
class Case:
    """A place where someone stopped typing. ``reference`` is what really came next. ``path`` is the file's name in its
    repository, if known.
    """

    id: str
    prefix: str
    suffix: str
    reference: str
    language: str = ""
    path: str = ""

    @property
    def inside_identifier(self) -> bool:
        """Whether the cursor stands between two characters of one identifier."""
        return bool(_ENDS_IN_IDENTIFIER.search(self.prefix) and identifier_start(self.reference))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One completion of a case (empty text if there was none) and how long it took."""

    case: Case
    text: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over all outcomes of a mode.

    ``identifier_exact`` is over the cases cut inside an identifier; None if there are none. Times are in milliseconds.
    """

    cases: int
    exact_first_line: float
    matched_chars: float
    identifier_exact: float | None
    edit_similarity: float
    ms_p50: float
    ms_p95: float


def read_cases(lines: Iterable[str], name: str) -> list[Case]:
    """Parse JSON lines. Raises `DocumentError`, which names the line, if one is not a case, or if there is none."""
    cases = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            cases.append(_case(line, f"line {number} of {name}", number))
    if not cases:
        raise DocumentError(f"{name} holds no cases; each line is a JSON object with prefix, suffix and reference")
    return cases


def score(outcomes: Sequence[Outcome]) -> Scores:
    """The figures of one mode. ``outcomes`` must not be empty."""
    inside = [o for o in outcomes if o.case.inside_identifier]
    times = [o.milliseconds for o in outcomes]
    cuts = quantiles(times, n=20, method="inclusive") if len(times) > 1 else times * 19
    return Scores(
        cases=len(outcomes),
        exact_first_line=mean(first_line(o.text) == first_line(o.case.reference) for o in outcomes),
        matched_chars=mean(matched_characters(o.text, o.case.reference) for o in outcomes),
        identifier_exact=mean(identifier_matches(o) for o in inside) if inside else None,
        edit_similarity=mean(edit_similarity(first_line(o.text), first_line(o.case.reference)) for o in outcomes),
        ms_p50=cuts[9],
        ms_p95=cuts[18],
    )


def identifier_matches(outcome: Outcome) -> bool:
    """Whether the rest of the identifier under the cursor was completed exactly."""
    return identifier_start(outcome.text) == identifier_start(outcome.case.reference)


def first_line(text: str) -> str:
    """Text up to the first line break, without trailing white space."""
    return text.split("\n", 1)[0].rstrip()


def identifier_start(text: str) -> str:
    """The identifier characters that ``text`` begins with."""
    match = _IDENTIFIER.match(text)
    return match[0] if match else ""


def matched_characters(text: str, reference: str) -> int:
    """Number of leading characters that agree: what a user would have kept."""
    agreed = 0
    for left, right in zip(text, reference, strict=False):
        if left != right:
            break
        agreed += 1
    return agreed


def edit_similarity(left: str, right: str) -> float:
    """1 minus the Levenshtein distance over the longer length; 1 for two empty texts."""
    if not left and not right:
        return 1.0
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return 1 - row[-1] / max(len(left), len(right))


def _case(line: str, place: str, number: int) -> Case:
    try:
        raw: Any = json.loads(line)
        fields = {name: raw.get(name, "") for name in ("prefix", "suffix", "reference", "language", "path")}
        if "prefix" not in raw or "reference" not in raw or not all(isinstance(v, str) for v in fields.values()):
            raise ValueError
    except (ValueError, AttributeError, RecursionError) as error:
        raise DocumentError(
            f"{place} is not a case; it needs prefix and reference (suffix, language, path) as text"
        ) from error
    return Case(id=str(raw.get("id", number)), **fields)
