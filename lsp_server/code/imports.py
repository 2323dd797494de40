"""What a Python text imports, and which of its names are modules of the standard library."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lsp_server.code.python_library import ModuleNames, module_names

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]*(?:\(([^)]*)\)|([^\n#(]*))|import[ \t]+([^\n#;]+))", re.MULTILINE
)
_ALIAS = re.compile(r"\s*([\w.]+)(?:\s+as\s+(\w+))?\s*")
FROM = re.compile(r"\s*from\s+([\w.]+)\s+import\b")
"""The beginning of a line that takes names from a module."""


@dataclass(frozen=True, slots=True)
class Imports:
    """``modules`` maps names in the text to modules; ``sources`` are all modules from which the text imports names."""

    modules: Mapping[str, str]
    sources: tuple[str, ...]

    def module(self, expression: str) -> ModuleNames | None:
        """The names of the standard library module that an expression such as ``os.path`` stands for; None for
        other expressions.
        """
        first, _, rest = expression.partition(".")
        module = self.modules.get(first)
        return None if module is None else module_names(f"{module}.{rest}" if rest else module)


def python_imports(text: str) -> Imports:
    """The imports anywhere in ``text``."""
    modules: dict[str, str] = {}
    sources: dict[str, None] = {}
    for source, in_brackets, on_line, plain in _IMPORT.findall(text):
        for name, alias in _aliases(plain or in_brackets or on_line):
            if plain:
                sources[name] = None
                modules[alias or name.partition(".")[0]] = name if alias else name.partition(".")[0]
            else:
                sources[source] = None
                whole = f"{source}.{name}"
                modules.pop(alias or name, None)
                if module_names(whole) is not None:
                    modules[alias or name] = whole
                    sources[whole] = None
    return Imports(modules, tuple(sources))


def _aliases(names: str) -> list[tuple[str, str]]:
    found = (_ALIAS.match(name) for name in names.split(","))
    return [(match[1], match[2] or "") for match in found if match is not None]
