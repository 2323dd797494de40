"""The grammars of tree-sitter that we have, each loaded when it is first asked for."""

from collections.abc import Callable, Mapping
from types import MappingProxyType


def _bash() -> object:
    import tree_sitter_bash

    return tree_sitter_bash.language()


def _css() -> object:
    import tree_sitter_css

    return tree_sitter_css.language()


def _go() -> object:
    import tree_sitter_go

    return tree_sitter_go.language()


def _java() -> object:
    import tree_sitter_java

    return tree_sitter_java.language()


def _javascript() -> object:
    import tree_sitter_javascript

    return tree_sitter_javascript.language()


def _lua() -> object:
    import tree_sitter_lua

    return tree_sitter_lua.language()


def _python() -> object:
    import tree_sitter_python

    return tree_sitter_python.language()


def _ruby() -> object:
    import tree_sitter_ruby

    return tree_sitter_ruby.language()


def _rust() -> object:
    import tree_sitter_rust

    return tree_sitter_rust.language()


def _tsx() -> object:
    import tree_sitter_typescript

    return tree_sitter_typescript.language_tsx()


def _typescript() -> object:
    import tree_sitter_typescript

    return tree_sitter_typescript.language_typescript()


GRAMMARS: Mapping[str, Callable[[], object]] = MappingProxyType(
    {
        "bash": _bash,
        "css": _css,
        "go": _go,
        "java": _java,
        "javascript": _javascript,
        "lua": _lua,
        "python": _python,
        "ruby": _ruby,
        "rust": _rust,
        "tsx": _tsx,
        "typescript": _typescript,
    }
)
"""For each name a function that returns what `tree_sitter.Language` takes. It raises ImportError if there is no
wheel for the platform.
"""
