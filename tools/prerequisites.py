"""Checks what must be on the machine before an installation. Says in one line what is missing and how to get it."""

# Any Python may run this, and an old one gets a message. So annotations must not be evaluated.
from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys


def problems() -> list[str]:
    """One line for each thing that is missing."""
    found = []
    if sys.version_info < (3, 11):  # noqa: UP036 - see above
        found.append(f"Python 3.11 or later is needed, this is {sys.version.split()[0]}; set PYTHON=python3.11")
    if importlib.util.find_spec("ensurepip") is None:
        found.append("this Python has no venv; on Debian and Ubuntu: apt install python3-venv")
    return found


def node_problems() -> list[str]:
    """One line if the VS Code extension cannot be built. ESLint needs a newer Node.js than the other tools."""
    needed = "Node.js 20.19 or later is needed for the VS Code extension"
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return [f"{needed}, and there is no {program}; see https://nodejs.org"]
    printed = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    numbers = re.match(r"v(\d+)\.(\d+)", printed)
    if not numbers or (int(numbers[1]), int(numbers[2])) < (20, 19):
        return [f"{needed}, this is {printed or 'none that runs'}; see https://nodejs.org"]
    return []


def main() -> int:
    """Print what is missing; the argument ``node`` adds what the VS Code extension needs. Returns 0 if nothing is
    missing.
    """
    lines = node_problems() if sys.argv[1:] == ["node"] else problems()
    for line in lines:
        print(f"midtoken: {line}", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
