"""What must be on the machine before anything is installed; says in one line what is missing and how to get it."""

import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path


def problems() -> list[str]:
    """One line for each thing that is missing."""
    found = []
    if sys.version_info < (3, 11):  # noqa: UP036 - it is run by whatever Python there is, to say so
        found.append(f"Python 3.11 or later is needed, this is {sys.version.split()[0]}; set PYTHON=python3.11")
    if importlib.util.find_spec("ensurepip") is None:
        found.append("this Python has no venv; on Debian and Ubuntu: apt install python3-venv")
    if sys.platform in ("linux", "darwin"):
        compiler = os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]
        if not any(shutil.which(name) for name in (compiler, "cc", "gcc", "clang")):
            found.append("a C compiler is needed to build datrie; on Debian and Ubuntu: apt install build-essential")
        if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
            found.append("Python's headers are needed to build datrie; on Debian and Ubuntu: apt install python3-dev")
    return found


if __name__ == "__main__":
    lines = problems()
    for line in lines:
        print(f"midtoken: {line}", file=sys.stderr)
    sys.exit(bool(lines))
