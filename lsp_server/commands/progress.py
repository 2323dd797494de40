"""A progress bar on standard error, on a terminal only."""

import sys

from tqdm import tqdm


class _Bar(tqdm):  # type: ignore[misc]  # tqdm has no types: its class is Any
    """A bar without tqdm's monitor thread. It changes only when progress is reported."""

    monitor_interval = 0


class ProgressBar:
    """Called with the amount done, the total, and the current step. Removed at the end and by `close`."""

    def __init__(self, name: str, form: str) -> None:
        self._name, self._form = name, form
        self._enabled = sys.stderr.isatty()
        self._bar: _Bar | None = None

    def __call__(self, done: float, total: float, doing: str = "") -> None:
        if done >= total:
            self.close()
        elif self._enabled:
            self._draw(done, total, doing or self._name)

    def close(self) -> None:
        """Remove the bar from the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, done: float, total: float, doing: str) -> None:
        if self._bar is None:
            self._bar = _Bar(
                total=total, initial=done, desc=f"{doing}: ", file=sys.stderr, leave=False, bar_format=self._form
            )
            return
        self._bar.desc, self._bar.n = f"{doing}: ", done
        self._bar.refresh()


def progress_bar(name: str) -> ProgressBar:
    """A bar that counts."""
    return ProgressBar(name, "{desc}{bar:30} {n_fmt} of {total_fmt}, {remaining} left")


def share_bar(name: str) -> ProgressBar:
    """A bar that shows per cent."""
    return ProgressBar(name, "{desc}{percentage:3.0f}% {bar:30} {remaining} left")
