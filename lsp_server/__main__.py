"""``python -m lsp_server``, and what the program ``midtoken`` calls: our own code first, then the command line.

Python searches the current folder (``python -m``) and the folders of ``PYTHONPATH`` before what is installed. A project
may have a package `engine`, or a module with the name of a library that we use. Either would be imported instead of the
real one. So this module orders the search path before anything else is imported. It needs only `os` and `sys`.
"""

import os
import sys
from collections.abc import Sequence


def main() -> int:
    """Run the command line on the arguments of this process."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:] = own_code_first(sys.path, ours, os.environ.get("PYTHONPATH", ""))
    from lsp_server.cli import main as run

    return run()


def own_code_first(path: Sequence[str], ours: str, python_path: str) -> list[str]:
    """``path`` in this order: the standard library, our folder, what else is installed, the folders of ``python_path``.

    The current folder is removed if ``python -m`` put it in front. The folders of ``python_path`` stay, but come last,
    so that packages which exist only there (such as torch on a cluster) are found.
    """
    named = {_absolute(entry) for entry in python_path.split(os.pathsep)} if python_path else set()
    searched = path[1:] if path and _absolute(path[0]) == _absolute("") else path
    installed = [entry for entry in searched if _absolute(entry) not in named]
    library = os.path.dirname(os.__file__)
    standard = {_absolute(library), _absolute(os.path.join(library, "lib-dynload"))}
    end = max((at + 1 for at, entry in enumerate(installed) if _absolute(entry) in standard), default=0)
    others = [*installed[end:], *(entry for entry in searched if _absolute(entry) in named)]
    return [*installed[:end], ours, *(entry for entry in others if _absolute(entry) != _absolute(ours))]


def _absolute(entry: str) -> str:
    return os.path.normcase(os.path.abspath(entry))


if __name__ == "__main__":
    sys.exit(main())
