"""The names of Python's standard library, from a table that `tools/python_names.py` writes: nothing is imported.

A table, not an analysis of the user's environment: docs/measurements/quality.md compares it with `jedi`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_ALWAYS = ("builtins", "types", "io")
"""Modules whose classes are often used without an import."""


@dataclass(frozen=True, slots=True)
class ModuleNames:
    """The names that a module exports, including its submodules, and the members of its classes."""

    given: frozenset[str]
    members: frozenset[str]


@cache
def module_names(module: str) -> ModuleNames | None:
    """The names of a module of the standard library, such as ``os.path``; None if it is none."""
    line = _lines().get(module)
    if line is None:
        return None
    given, _, members = line.partition("|")
    parts = {name[len(module) + 1 :].partition(".")[0] for name in _lines() if name.startswith(module + ".")}
    return ModuleNames(frozenset(given.split()) | parts, frozenset(members.split()))


@cache
def always_there() -> ModuleNames:
    """Names that need no import, and the members of the classes behind them."""
    found = [names for names in map(module_names, _ALWAYS) if names is not None]
    return ModuleNames(found[0].given, frozenset().union(*(names.members for names in found)))


@cache
def _lines() -> Mapping[str, str]:
    text = files("lsp_server.code").joinpath("python_names.txt").read_text(encoding="utf-8")
    return MappingProxyType({name: rest for name, _, rest in (line.partition(": ") for line in text.splitlines())})
