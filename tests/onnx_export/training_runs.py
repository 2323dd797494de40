"""Shared by the tests of training: short runs, and reports that do nothing or interrupt a run."""

from collections.abc import Callable

from onnx_export.train.checkpoint import Progress
from onnx_export.train.loop import TrainingSettings

SETTINGS = TrainingSettings(
    size="tiny",
    window=64,
    batch_windows=4,
    micro_windows=2,
    steps=9,
    warmup_steps=3,
    seed=3,
    log_every_steps=1,
    checkpoint_every_steps=3,
    low_precision=False,
)


class Interrupted(Exception):
    """A run was interrupted by its report."""


def silent(progress: Progress, done: float) -> None:
    """Report nothing."""


def interrupt_at(step: int | None) -> Callable[[Progress, float], None]:
    """A report that interrupts the run after a step; never for None."""

    def report(progress: Progress, done: float) -> None:
        if progress.step == step:
            raise Interrupted

    return report
