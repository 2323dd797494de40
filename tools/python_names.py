"""Writes the names of Python's standard library: ``python tools/python_names.py lsp_server/code/python_names.txt``.

One line for each module: its name, the names that an import gives, and after a bar the members of its classes. The
first line is ``builtins``. Run it with the newest Python you have. Names that are already in the file stay, so names of
other versions and platforms are kept.
"""

import contextlib
import inspect
import io
import pkgutil
import re
import sys
import types
import warnings
from pathlib import Path

NO_LIBRARY = frozenset({"__main__", "antigravity", "idlelib", "lib2to3", "test", "this", "turtledemo"})
_MEMBER = re.compile(r"self\.([a-zA-Z]\w*) *(?::[^=\n]*)?=(?!=)")


def main() -> None:
    """Read the present file and add the names of this Python."""
    path = Path(sys.argv[1])
    old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    table = {line.partition(":")[0]: _read(line) for line in old}
    for name in ("builtins", *_modules()):
        module = _module(name)
        if module is not None:
            given, members = table.get(name, (set(), set()))
            table[name] = given | _given(module), members | _members(module)
    lines = [
        f"{name}: {' '.join(sorted(given))}|{' '.join(sorted(members))}" for name, (given, members) in table.items()
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _joined(names: set[str]) -> str:
    return " ".join(sorted(names))


def _read(line: str) -> tuple[set[str], set[str]]:
    given, _, members = line.partition(": ")[2].partition("|")
    return set(given.split()), set(members.split())


def _modules() -> list[str]:
    names = [name for name in sorted(sys.stdlib_module_names - NO_LIBRARY) if not name.startswith("_")]
    return [*names, "os.path", *(part for name in names for part in _parts(name))]


def _parts(name: str) -> list[str]:
    found = pkgutil.iter_modules(getattr(_module(name), "__path__", ()))
    parts = [f"{name}.{part.name}" for part in found if not part.name.startswith(("_", "test"))]
    return [*parts, *(deeper for part in parts for deeper in _parts(part))]


def _module(name: str) -> types.ModuleType | None:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            __import__(name)
            return sys.modules[name]
        except ImportError:  # of another platform
            return None


def _given(module: types.ModuleType) -> set[str]:
    return {name for name in dir(module) if module.__name__ == "builtins" or not name.startswith("__")}


def _members(module: types.ModuleType) -> set[str]:
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    names = {name for one in classes for base in one.__mro__ for name in vars(base)}
    with contextlib.suppress(OSError, TypeError):  # written in C
        names |= set(_MEMBER.findall(inspect.getsource(module)))
    keeps = module.__name__ == "builtins"
    return {name for name in names if keeps or not name.startswith("_")}


if __name__ == "__main__":
    main()
