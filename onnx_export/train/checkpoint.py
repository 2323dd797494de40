"""Checkpoints of a training run: everything a resumed run needs, written so that a crash leaves the old one whole."""

import errno
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from engine.errors import TrainingError, reason_of

CHECKPOINT_NAME = "checkpoint.pt"


@dataclass(frozen=True)
class Progress:
    """Where a run is: optimiser steps done, position in the data, seconds of training, and the loss curve.

    `losses` holds one (step, nats per token) pair for each step, `held_out` (step, bits per byte) pairs. A cool-down
    branched off another run after `branch_step` steps.
    """

    step: int = 0
    epoch: int = 0
    window: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    branch_step: int = 0
    losses: tuple[tuple[int, float], ...] = ()
    held_out: tuple[tuple[int, float], ...] = ()


def save_checkpoint(folder: Path, model: Any, optimiser: Any, progress: Progress, settings: dict[str, Any]) -> None:
    """Write `folder/checkpoint.pt`. Errors: TrainingError if the disk is full or not writable."""
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "progress": asdict(progress),
        "settings": settings,
        "torch_rng": torch.get_rng_state(),
    }
    write_atomically(folder / CHECKPOINT_NAME, lambda temporary: torch.save(state, temporary))


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The saved state, or None if the folder has none. Errors: TrainingError if the file is damaged."""
    path = folder / CHECKPOINT_NAME
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"model", "optimiser", "progress", "settings", "torch_rng"} - state.keys()
    except Exception as error:  # torch raises the errors of its unpickler or archive reader
        raise TrainingError(f"{path} is damaged ({reason_of(error)}): delete it to start again") from error
    if missing:
        raise TrainingError(f"{path} is damaged (no {', '.join(sorted(missing))}): delete it to start again")
    return state


def read_progress(state: dict[str, Any]) -> Progress:
    """The Progress inside a loaded checkpoint."""
    values = dict(state["progress"])
    for name in ("losses", "held_out"):
        values[name] = tuple((int(step), float(value)) for step, value in values[name])
    return Progress(**values)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it over `path`.

    Errors: TrainingError if the disk is full or the folder not writable; `path` is then as it was.
    """
    temporary = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch.save turns a full disk into a RuntimeError
        temporary.unlink(missing_ok=True)
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        reason = "the disk is full" if full else reason_of(error)
        raise TrainingError(
            f"cannot write {path}: {reason}; make room or choose another --out, then run again"
        ) from error
