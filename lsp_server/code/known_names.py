"""Which names exist at a place: those of the document, of its imports, of other open documents and of the language."""

from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal

from lsp_server.code.imports import FROM, Imports, python_imports
from lsp_server.code.python_library import ModuleNames, always_there, module_names
from lsp_server.code.references import Reference, names_in
from lsp_server.code.scanner import State
from lsp_server.code.syntax import Syntax
from lsp_server.code.words import has_word, word_after, word_before, words_that_begin

SEARCHED_CHARACTERS = 60_000
"""Text on each side of the cursor in which a name is looked for."""

Verdict = Literal["known", "unknown", "absent"]
"""``absent`` means a name that a module of the standard library does not have."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The names that are expected at the cursor; ``is_all`` says that there can be no others."""

    names: frozenset[str] = frozenset()
    is_all: bool = False


@dataclass(frozen=True)
class KnownNames:
    """The names around a cursor. ``elsewhere`` are those of other documents."""

    prefix: str
    suffix: str
    syntax: Syntax
    elsewhere: tuple[frozenset[str], ...] = ()

    def verdict(self, reference: Reference) -> Verdict:
        """Whether the name of a reference exists."""
        name, base = reference.name, reference.base
        if base is not None and self.syntax.definitions == "python":
            source = FROM.match(base)
            module = module_names(source[1]) if source is not None else self._module(base)
            if module is not None and not name.startswith("__"):
                is_there = name in module.given or (source is None and has_word(self._around, f"{base}.{name}"))
                return "known" if is_there else "absent"
            if source is not None:
                return "known"  # the names of other modules are not known
        if name in _language(self.syntax.definitions) or has_word(self._around, name):
            return "known"
        is_there = any(name in names for names in self.elsewhere) or (base is not None and name in self._members)
        return "known" if is_there else "unknown"

    def that_begin(self, beginning: str, base: str | None) -> "Expected":
        """The names that begin with ``beginning`` and are longer."""
        source = FROM.match(base) if base is not None and self.syntax.definitions == "python" else None
        module = module_names(source[1]) if source is not None else self._module(base) if base is not None else None
        if module is not None:
            own = frozenset(name for name in module.given if name.startswith(beginning) and name != beginning)
            return Expected(own, is_all=not beginning.startswith("__"))
        if not beginning:
            return Expected()
        found = words_that_begin(self._around, beginning)
        members = frozenset() if base is None else self._members
        others = (members, *self.elsewhere, _language(self.syntax.definitions))
        return Expected(frozenset(found.union(*({n for n in names if n.startswith(beginning)} for names in others))))

    def _module(self, base: str) -> ModuleNames | None:
        return self._imports.module(base) if base and base not in ("self", "cls") else None

    @cached_property
    def _around(self) -> str:
        """The text around the cursor, without the word at the cursor."""
        before, after = self.prefix[-SEARCHED_CHARACTERS:], self.suffix[:SEARCHED_CHARACTERS]
        return before[: len(before) - len(word_before(before))] + "\n" + after[len(word_after(after)) :]

    @cached_property
    def _imports(self) -> Imports:
        return python_imports(self._around if self.syntax.definitions == "python" else "")

    @cached_property
    def _members(self) -> frozenset[str]:
        """The members of the classes of imported modules, and of classes that need no import."""
        if self.syntax.definitions != "python":
            return frozenset()
        found = map(module_names, self._imports.sources)
        return always_there().members.union(*(module.members for module in found if module is not None))


def expected_names(
    prefix: str, suffix: str, syntax: Syntax, state: State, elsewhere: tuple[frozenset[str], ...] = ()
) -> Expected:
    """The names that the word at the cursor may become if a name is used there; none if a name is defined there."""
    if state.inside is not None or not has_names(syntax) or word_after(suffix):
        return Expected()
    found = names_in("_", prefix, suffix.partition("\n")[0], syntax, state)
    if not found.used:
        return Expected()
    place = found.used[0]
    return KnownNames(prefix, suffix, syntax, elsewhere).that_begin(place.name[:-1], place.base)


def has_names(syntax: Syntax) -> bool:
    """Whether the built-in names of a language are known."""
    return bool(_language(syntax.definitions))


@cache
def _language(definitions: str) -> frozenset[str]:
    if definitions == "python":
        return always_there().given | frozenset(_PYTHON.split())
    if definitions == "script":
        return frozenset(files("lsp_server.code").joinpath("script_names.txt").read_text(encoding="utf-8").split())
    return frozenset()


_PYTHON = """
False None True and as assert async await break case class cls continue def del elif else except finally for from
global if import in is lambda match nonlocal not or pass raise return self try type while with yield _ __all__
__annotations__ __author__ __file__ __name__ __package__ __path__ __slots__ __version__ args kwargs
"""
