"""A progress bar on standard error, on a terminal only."""

import sys
from collections.abc import Callable

_WIDTH = 30


def progress_bar(name: str) -> Callable[[int, int], None]:
    """A function to be called with what is done and what there is; at the end the bar is wiped away."""

    def show(done: int, total: int) -> None:
        filled = _WIDTH * done // total
        bar = "#" * filled + "." * (_WIDTH - filled)
        line = f"\r\x1b[K{name} [{bar}] {done} of {total}" if done < total else "\r\x1b[K"
        print(line, end="", file=sys.stderr, flush=True)

    def show_nothing(done: int, total: int) -> None:
        pass

    return show if sys.stderr.isatty() else show_nothing
