"""Where things are on this machine, as one value, so tests can make their own."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

APPLICATION = "midtoken"


@dataclass(frozen=True, slots=True)
class Machine:
    """The environment variables, the user's home and the platform as `sys.platform` names it.

    ``store`` is where added models are kept, ``cache`` where what was read of headers is remembered; ``root`` is where
    absolute folders of the system begin.
    """

    environment: Mapping[str, str]
    home: Path
    platform: str
    store: Path
    cache: Path
    root: Path = Path("/")

    def variable(self, name: str) -> str:
        """The text of an environment variable; empty if it is not set."""
        return self.environment.get(name, "").strip()

    def folder(self, name: str) -> Path | None:
        """The folder that an environment variable names, None if it names none. ``~`` is the user's home."""
        text = self.variable(name)
        if not text:
            return None
        return self.home / text[1:].lstrip("/\\") if text == "~" or text.startswith(("~/", "~\\")) else Path(text)

    @property
    def user_cache(self) -> Path:
        """``XDG_CACHE_HOME``, or ``.cache`` in the user's home."""
        return self.folder("XDG_CACHE_HOME") or self.home / ".cache"


def this_machine() -> Machine:
    """The machine that we run on, with folders as the operating system wants them."""
    return Machine(
        environment=os.environ,
        home=Path.home(),
        platform=sys.platform,
        store=user_data_path(APPLICATION, appauthor=False) / "models",
        cache=user_cache_path(APPLICATION, appauthor=False),
    )
