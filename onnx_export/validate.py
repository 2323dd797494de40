"""Checks of an exported folder against its checkpoint, through the engine's own session.

Figures are relative errors of logits: |a - b| / |b - mean(b)| in Euclidean norms over the vocabulary, where b is the
reference. They do not depend on the scale of a model's logits, about 1.4 between two models that have nothing in
common. If nothing is quantised, the largest error over positions counts; otherwise the error that nine positions in ten
do not exceed. The tokens are drawn at random, so a trained model has a few positions where almost nothing determines
what follows, and the smallest rounding changes much (0.7 at 8 bits, in a model that loses 0.003 % in bits per byte).
Against the checkpoint the mean counts too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ExportError, MidtokenError
from engine.loading import load_tokenizer
from engine.model_folder.manifest import Manifest, load_manifest
from engine.runtime.session import OrtSession
from onnx_export.batch import batched_logits
from onnx_export.checkpoint import Checkpoint
from onnx_export.quantize import Plan
from onnx_export.real_text import compare, text_ids
from onnx_export.torch_model import load_model

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]

CHECKED_TOKENS = 96
AGAINST_CHECKPOINT = "logits equal the checkpoint's"
GREEDY_TOKENS = 64
# Two logits closer than this count as equal: rounding may order them either way.
TIE = 1e-3


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its figure must not exceed its bound."""

    name: str
    figure: float
    bound: float


def validate(source: Checkpoint, chosen: Plan, manifest: Manifest, folder: Path) -> tuple[Check, ...]:
    """Run all checks on a finished folder; returns their figures. Errors: ExportError naming the first that fails."""
    try:
        load_tokenizer(folder, load_manifest(folder))
    except MidtokenError as error:
        raise ExportError(f"check 'vocabulary and model' failed: {error}") from None
    try:
        session = OrtSession.load(folder, manifest, device=chosen.device)
    except MidtokenError as error:
        raise ExportError(f"check 'names and shapes' failed: {error}") from None
    reference = TorchReference(source)
    ids = check_ids(source, manifest)
    checks = [*_checks(session, reference, chosen, ids), batch_check(session, folder, manifest, chosen, ids)]
    if chosen.layer_bits is not None and not all(map(_passes, checks)):
        on_text = text_checks(session, reference, chosen, manifest, folder)
        checks = on_text if all(map(_passes, on_text)) else checks
    for check in checks:
        _require(check)
    if chosen.precision == "fp32":
        checks.append(_require(greedy_check(session, reference, int(ids[0]), manifest)))
    return tuple(checks)


def text_checks(
    session: OrtSession, reference: "TorchReference", chosen: Plan, manifest: Manifest, folder: Path
) -> list[Check]:
    """The checks on real text, for a model whose outliers make rounding look too harmful at random ids. The loss on
    real text takes the place of the errors of logits.
    """
    tokenizer = load_tokenizer(folder, manifest)
    start = manifest.control.begin if manifest.control.begin is not None else manifest.control.end[0]
    found = compare(
        reference.logits,
        lambda ids: session.forward(ids, 0, range(len(ids))),
        tokenizer,
        start,
        manifest.context_length,
    )
    ids = np.array([start, *text_ids(tokenizer, min(CHECKED_TOKENS, manifest.context_length - 1) - 1)[0]], np.int32)
    same_ids = [*_checks(session, reference, chosen, ids), batch_check(session, folder, manifest, chosen, ids)]
    return [
        Check("bits a byte of real text, growth", found.loss, chosen.text_loss),
        Check("best tokens of real text, share of others", 1.0 - found.same_best, chosen.text_changed),
        *(check for check in same_ids if not check.name.startswith(AGAINST_CHECKPOINT)),
    ]


class TorchReference:
    """The checkpoint in torch, in float32, without cache: the reference."""

    def __init__(self, source: Checkpoint) -> None:
        self._model: Any = load_model(source.folder, "float32")

    def logits(self, ids: Sequence[int] | Ids) -> Floats:
        """Logits [S, V] float32 after every token of `ids` [S]."""
        import torch

        with torch.inference_mode():
            inputs = torch.tensor([[int(number) for number in ids]])
            result: Floats = self._model(input_ids=inputs).logits[0].float().numpy()
        return result


def check_ids(source: Checkpoint, manifest: Manifest) -> Ids:
    """Token ids for the checks: the start, then random entries of the vocabulary, the same in every run."""
    rng = np.random.default_rng(0)
    count = min(CHECKED_TOKENS, manifest.context_length - 1)
    start = manifest.control.begin if manifest.control.begin is not None else manifest.control.end[0]
    return np.array([start, *rng.integers(0, source.vocabulary.tokenizer, count - 1)], np.int32)


def _checks(session: OrtSession, reference: TorchReference, chosen: Plan, ids: Ids) -> list[Check]:
    count = len(ids)
    rows, half, third = range(count), count // 2, count // 3
    error = _error_over_positions(chosen)
    whole = session.forward(ids, 0, rows)
    expected = reference.logits(ids)
    checks = [
        Check(f"{AGAINST_CHECKPOINT}, mean", mean_error(whole, expected), chosen.mean_error),
        Check(f"{AGAINST_CHECKPOINT}, {_positions(chosen)}", error(whole, expected), chosen.worst_error),
    ]

    some = session.forward(ids, 0, (third, count - 1))
    checks.append(Check("chosen positions equal all positions", largest_error(some, whole[[third, count - 1]]), 1e-4))

    parts = [
        session.forward(ids[:third], 0, range(third)),
        session.forward(ids[third:half], third, range(half - third)),
    ]
    parts += [session.forward(ids[at : at + 1], at, (0,)) for at in range(half, count)]
    checks.append(Check("cached equals uncached", error(np.concatenate(parts), whole), chosen.cache_error))

    other = np.concatenate([ids[:third], ids[:third][::-1]])
    fresh = session.forward(other, 0, range(len(other)))
    session.forward(ids, 0, (0,))  # the cache now holds other tokens beyond the common start
    rewound = session.forward(other[third:], third, range(len(other) - third))
    checks.append(Check("rewound equals fresh", error(rewound, fresh[third:]), chosen.cache_error))
    return checks


def batch_check(session: OrtSession, folder: Path, manifest: Manifest, chosen: Plan, ids: Ids) -> Check:
    """Two sequences in one batch against each of them alone."""
    pair = np.stack([ids, np.roll(ids, 7)])
    batched = batched_logits(folder, manifest, pair, "cuda" if session.device.kind == "cuda" else "cpu")
    largest = 0.0
    for sequence, logits in zip(pair, batched, strict=True):
        count = len(sequence)
        alone = [
            session.forward(sequence[:-1], 0, range(count - 1)),
            session.forward(sequence[-1:], count - 1, (0,)),
        ]
        largest = max(largest, _error_over_positions(chosen)(logits, np.concatenate(alone)))
    return Check("batch of two equals two singles", largest, chosen.cache_error)


def greedy_check(session: OrtSession, reference: TorchReference, start: int, manifest: Manifest) -> Check:
    """Greedy text of the graph against the checkpoint's; the figure is the number of differing tokens.

    The reference scores the graph's own text, so one difference is counted once, not at every later token.
    """
    ids = greedy(session, [start], min(GREEDY_TOKENS, manifest.context_length - 1))
    logits = reference.logits(ids[:-1])
    behind = logits.max(axis=1) - logits[np.arange(len(ids) - 1), ids[1:]]
    return Check("greedy text equals the checkpoint's", float((behind > TIE).sum()), 0.0)


def greedy(session: OrtSession, prompt: Sequence[int], count: int) -> list[int]:
    """`prompt` and `count` greedy tokens after it."""
    ids = list(prompt)
    row = session.forward(np.array(ids, np.int32), 0, (len(ids) - 1,))[0]
    for step in range(count):
        ids.append(int(row.argmax()))
        if step + 1 < count:
            row = session.forward(np.array(ids[-1:], np.int32), len(ids) - 1, (0,))[0]
    return ids


def _error_over_positions(chosen: Plan) -> Callable[[Floats, Floats], float]:
    return largest_error if chosen.layer_bits is None else usual_error


def _positions(chosen: Plan) -> str:
    return "worst position" if chosen.layer_bits is None else "nine positions in ten"


def mean_error(values: Floats, reference: Floats) -> float:
    """Mean relative error over positions, both [S, V]; infinite where a value is not finite."""
    return float(_errors(values, reference).mean())


def largest_error(values: Floats, reference: Floats) -> float:
    """Largest relative error over positions, both [S, V]; infinite where a value is not finite."""
    return float(_errors(values, reference).max())


def usual_error(values: Floats, reference: Floats) -> float:
    """Relative error that nine positions in ten do not exceed, both [S, V]; infinite where a value is not finite."""
    return float(np.quantile(_errors(values, reference), 0.9, method="inverted_cdf"))


def _errors(values: Floats, reference: Floats) -> Floats:
    if values.shape != reference.shape or not np.isfinite(values).all():
        return np.array([np.inf], np.float32)
    scale = np.linalg.norm(reference - reference.mean(axis=1, keepdims=True), axis=1)
    result: Floats = np.linalg.norm(values - reference, axis=1) / np.maximum(scale, 1e-9)
    return result


def _passes(check: Check) -> bool:
    return check.figure <= check.bound


def _require(check: Check) -> Check:
    if not _passes(check):
        raise ExportError(
            f"check '{check.name}' failed: {check.figure:.3g} where at most {check.bound:g} is allowed; "
            "nothing was written"
        )
    return check
