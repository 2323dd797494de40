"""The training loop: resumable, deterministic for a number of steps, and stopped by the clock if asked to."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engine.errors import TrainingError
from onnx_export.train.checkpoint import Progress, load_checkpoint, read_progress, save_checkpoint
from onnx_export.train.corpus import Corpus
from onnx_export.train.held_out import HELD_OUT_WINDOWS, bits_per_byte, torch_scorer
from onnx_export.train.loss import chunked_cross_entropy
from onnx_export.train.optimiser import Optimiser
from onnx_export.train.packing import epoch_windows
from onnx_export.train.renaming import RENAME_RATE, renamer
from onnx_export.train.samples import FIM_RATE, SPM_SHARE

HELD_OUT_PROBE_WINDOWS = 24


@dataclass(frozen=True)
class TrainingSettings:
    """What a run depends on. `steps` and `minutes` limit it; the schedule follows the one that is nearer its end.

    With `steps` alone the curve is the same in every run; with `minutes` it depends on the speed of the machine.
    `schedule` is "cosine", "hold" (warm-up, then a constant rate: a run without an end) or "cool-down" (from that rate
    down in a straight line: the end of a held run, with `steps` counted from the branch).
    """

    size: str = "small"
    fim_rate: float = FIM_RATE
    spm_share: float = SPM_SHARE
    rename_rate: float = RENAME_RATE
    schedule: str = "cosine"
    window: int = 1_024  # tokens
    batch_windows: int = 4
    micro_windows: int = 4
    matrix_rate: float = 0.012
    embedding_rate: float = 0.004
    final_rate_share: float = 0.03
    warmup_steps: int = 40
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    seed: int = 20_240
    steps: int | None = None
    minutes: float | None = None
    device: str = "cpu"
    low_precision: bool = True  # bfloat16 matrix products
    checkpoint_every_s: float = 180.0
    checkpoint_every_steps: int | None = None
    held_out_every_s: float = 420.0
    held_out_windows: int = HELD_OUT_WINDOWS  # of the measurements before and after
    log_every_steps: int = 10


# Settings that a resumed run must share with the run that it continues.
FIXED_SETTINGS = (
    "size",
    "window",
    "batch_windows",
    "micro_windows",
    "matrix_rate",
    "embedding_rate",
    "seed",
    "warmup_steps",
    "fim_rate",
    "spm_share",
)

Report = Callable[[Progress, float], None]  # progress, share of the run that is done


def train(
    settings: TrainingSettings,
    model: Any,
    tokenizer: Tokenizer,
    corpus: Corpus,
    folder: Path,
    report: Report,
    branch_from: Path | None = None,
) -> Progress:
    """Train `model` in place, continuing from the checkpoint in `folder`, or from that in `branch_from`, or from the
    start.

    Errors: TrainingError if the loss is not a number, the checkpoint is damaged or of another run, or cannot be
    written.
    """
    assert settings.steps is not None or settings.minutes is not None
    model.to(settings.device)
    dtype = torch.bfloat16 if settings.low_precision else torch.float32
    optimiser = Optimiser(model, settings.matrix_rate, settings.embedding_rate, settings.weight_decay, dtype)
    progress = _resume(settings, model, optimiser, corpus, folder, branch_from)
    fixed = _fixed(settings, corpus)
    windows = _windows(settings, tokenizer, corpus, progress.epoch)
    started = time.monotonic() - progress.elapsed_s
    saved_at = probed_at = progress.elapsed_s
    while (done := done_share(settings, progress)) < 1.0:
        batch, progress, windows = _next_batch(settings, tokenizer, corpus, progress, windows)
        loss = train_step(model, optimiser, batch, settings, rate_factor(settings, progress.step, done))
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {progress.step + 1}: lower --rate and run again; "
                "the last checkpoint is kept"
            )
        progress = replace(
            progress,
            step=progress.step + 1,
            tokens=progress.tokens + batch[:, 1:].size,
            elapsed_s=time.monotonic() - started,
            losses=(*progress.losses, (progress.step + 1, loss)),
        )
        if progress.step % settings.log_every_steps == 0:
            report(progress, done_share(settings, progress))
        if progress.elapsed_s - probed_at > settings.held_out_every_s and corpus.held_out:
            progress = _probed(settings, model, tokenizer, corpus, progress)
            probed_at = progress.elapsed_s
            report(progress, done_share(settings, progress))
        by_count = settings.checkpoint_every_steps is not None and progress.step % settings.checkpoint_every_steps == 0
        if by_count or progress.elapsed_s - saved_at > settings.checkpoint_every_s:
            save_checkpoint(folder, model, optimiser, progress, fixed)
            saved_at = progress.elapsed_s
    save_checkpoint(folder, model, optimiser, progress, fixed)
    return progress


def train_step(
    model: Any, optimiser: Optimiser, batch: NDArray[np.int32], settings: TrainingSettings, factor: float
) -> float:
    """One optimiser step over `batch` [windows, window + 1] int32; returns the mean loss in nats per token."""
    model.train()
    dtype = torch.bfloat16 if settings.low_precision else torch.float32
    tokens = torch.from_numpy(batch.astype(np.int64)).to(settings.device)
    count = tokens[:, 1:].numel()
    total = 0.0
    for micro in tokens.split(settings.micro_windows):
        with torch.autocast(settings.device, dtype=torch.bfloat16, enabled=settings.low_precision):
            hidden = model.model(input_ids=micro[:, :-1]).last_hidden_state
        targets = micro[:, 1:].reshape(-1)
        loss = chunked_cross_entropy(hidden.flatten(0, 1), model.lm_head.weight, targets, dtype) / count
        loss.backward()
        total += float(loss.detach())
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
    if math.isfinite(total) and bool(torch.isfinite(norm)):
        optimiser.step(factor)
    else:
        total = math.nan
    optimiser.zero_grad()
    return total


def done_share(settings: TrainingSettings, progress: Progress) -> float:
    """Share of the run that is done, in [0, 1]."""
    steps = progress.step - progress.branch_step
    by_steps = steps / settings.steps if settings.steps is not None else 0.0
    by_time = progress.elapsed_s / (settings.minutes * 60.0) if settings.minutes is not None else 0.0
    return min(1.0, max(by_steps, by_time))


def rate_factor(settings: TrainingSettings, step: int, done: float) -> float:
    """Linear warm-up over the first steps times the schedule over the whole run, which ends at `final_rate_share`."""
    warmup = min(1.0, (step + 1) / settings.warmup_steps)
    if settings.schedule == "hold":
        return warmup
    shape = 1.0 - done if settings.schedule == "cool-down" else 0.5 * (1.0 + math.cos(math.pi * done))
    return warmup * (settings.final_rate_share + (1.0 - settings.final_rate_share) * shape)


def _probed(
    settings: TrainingSettings, model: Any, tokenizer: Tokenizer, corpus: Corpus, progress: Progress
) -> Progress:
    """The progress with the bits per byte of the held-out files at this step."""
    score = torch_scorer(model)
    bits = bits_per_byte(score, tokenizer, corpus.held_out, settings.window, HELD_OUT_PROBE_WINDOWS)
    return replace(progress, held_out=(*progress.held_out, (progress.step, bits)))


def _next_batch(
    settings: TrainingSettings,
    tokenizer: Tokenizer,
    corpus: Corpus,
    progress: Progress,
    windows: NDArray[np.int32],
) -> tuple[NDArray[np.int32], Progress, NDArray[np.int32]]:
    """The next [batch, window + 1] windows; a remainder smaller than a batch is dropped at the end of an epoch."""
    if progress.window + settings.batch_windows > len(windows):
        progress = replace(progress, epoch=progress.epoch + 1, window=0)
        windows = _windows(settings, tokenizer, corpus, progress.epoch)
    end = progress.window + settings.batch_windows
    return windows[progress.window : end], replace(progress, window=end), windows


def _windows(settings: TrainingSettings, tokenizer: Tokenizer, corpus: Corpus, epoch: int) -> NDArray[np.int32]:
    windows = epoch_windows(
        corpus.train,
        tokenizer,
        window=settings.window,
        seed=settings.seed,
        epoch=epoch,
        fim_rate=settings.fim_rate,
        renamer=renamer(corpus.train, settings.rename_rate) if settings.rename_rate else None,
        spm_share=settings.spm_share,
    )
    if len(windows) < settings.batch_windows:
        raise TrainingError(
            f"the corpus fills {len(windows)} windows of {settings.window} tokens, fewer than one batch: add text"
        )
    return windows


def _resume(
    settings: TrainingSettings, model: Any, optimiser: Any, corpus: Corpus, folder: Path, branch_from: Path | None
) -> Progress:
    state = load_checkpoint(folder)
    branches = state is None and branch_from is not None
    if branches and branch_from is not None:
        folder = branch_from
        state = load_checkpoint(folder)
        if state is None:
            raise TrainingError(f"{folder} has no checkpoint to cool down: train it with --schedule hold first")
    if state is None:
        return Progress()
    if state["settings"] != _fixed(settings, corpus):
        raise TrainingError(
            f"the checkpoint in {folder} is of a run with other settings or another corpus: choose another --out"
        )
    try:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise TrainingError(f"the checkpoint in {folder} does not fit the model: choose another --out") from error
    torch.set_rng_state(state["torch_rng"])
    progress = read_progress(state)
    return replace(progress, branch_step=progress.step) if branches else progress


def _fixed(settings: TrainingSettings, corpus: Corpus) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in FIXED_SETTINGS} | {"corpus": corpus.fingerprint}


def mean_loss(losses: Sequence[tuple[int, float]], last: int = 10) -> float:
    """Mean of the last logged losses, nats per token."""
    tail = [loss for _, loss in losses[-last:]]
    return sum(tail) / len(tail) if tail else math.nan
