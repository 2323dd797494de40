"""The loss curve as a picture. matplotlib is optional: a run without it has no picture and says so."""

from pathlib import Path

from onnx_export.train.checkpoint import Progress, write_atomically


def plot_losses(progress: Progress, path: Path) -> bool:
    """Write a PNG of training loss and held-out bits per byte over steps; False if matplotlib is not installed."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return False
    figure, axis = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    axis.plot(*_columns(progress.losses), linewidth=0.8, label="training, nats per token")
    axis.set(xlabel="step", ylabel="nats per token")
    if progress.held_out:
        right = axis.twinx()
        right.plot(*_columns(progress.held_out), "o-", color="tab:orange", label="held out, bits per byte")
        right.set_ylabel("bits per byte")
    figure.legend(loc="upper right")
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=110))
    pyplot.close(figure)
    return True


def _columns(points: tuple[tuple[int, float], ...]) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [value for _, value in points]
