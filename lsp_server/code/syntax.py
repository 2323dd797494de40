"""What must be known about a language to read a line of it: comments, strings, brackets, and how blocks are marked.

This is not a parser: a file that is being typed seldom parses, and a parser is not needed here. Prose and unknown
languages have neither comments nor strings, so nothing is taken for one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType
from typing import Literal

BRACKETS: Mapping[str, str] = MappingProxyType({"(": ")", "[": "]", "{": "}"})
"""Opening brackets to closing ones; the same in all languages that have them."""

Blocks = Literal["indent", "brace", "none"]
Definitions = Literal["", "python", "script", "go", "rust", "c", "ruby", "lua", "php", "shell"]


@dataclass(frozen=True, slots=True)
class Delimiter:
    """A comment or string between ``opener`` and ``closer``; an empty closer means the end of the line.

    A ``multiline`` one continues over line breaks; any other ends with its line, closed or not. ``fields`` are the
    openers of code inside a string, such as ``${``; each ends in a bracket, and the matching bracket ends the field. In
    fields of a string that ``nests``, its own quotes begin another string; in others they end it. ``behind`` is a
    regular expression, a look-behind for what may stand before the opener.
    """

    opener: str
    closer: str
    kind: Literal["comment", "string"]
    multiline: bool = False
    fields: tuple[str, ...] = ()
    nests: bool = False
    behind: str = ""


@dataclass(frozen=True, slots=True)
class Syntax:
    """A language: its blocks are ``indent`` (after a colon), ``brace``, or unknown; ``delimited`` longest opener first.

    ``comment`` begins a comment up to the end of the line; empty if there is none. ``items`` says that a dash opens an
    item, as in YAML; ``lone_closers`` that a closing bracket may stand alone, as in the cases of a shell script.
    ``definitions`` matches the definition of a name that a scope has only once; empty if several definitions are usual.
    ``grammar`` is the name for `lsp_server.code.parsing`; empty if there is none.
    """

    blocks: Blocks = "none"
    delimited: tuple[Delimiter, ...] = ()
    comment: str = ""
    items: bool = False
    lone_closers: bool = False
    definitions: Definitions = ""
    grammar: str = ""

    @property
    def has_pairs(self) -> bool:
        """Whether brackets and quotes come in pairs, and comments and strings are known."""
        return any(delimiter.kind == "string" for delimiter in self.delimited)

    def opens_block(self, line: str) -> bool:
        """Whether ``line`` begins a block. It has no comments and no trailing white space."""
        if self.blocks == "indent":
            return line.endswith(":")
        return self.blocks == "brace" and line.endswith("{")


def _syntax(
    blocks: Blocks, comments: str, strings: str, *multiline: tuple[str, str], fields: str = "", behind: str = ""
) -> Syntax:
    """Comment openers and quotes are separated by spaces; a ``multiline`` pair that opens with a quote is a string.

    ``fields`` open code in strings of all kinds except those in single quotes; ``behind`` applies to comments.
    """
    quotes = strings.split()
    delimited = [Delimiter(opener, "", "comment", behind=behind) for opener in comments.split()]
    delimited += [_string(quote, quote == "`", fields) for quote in quotes]
    delimited += [
        _string(opener, True, fields) if opener[0] in "\"'`" else Delimiter(opener, closer, "comment", multiline=True)
        for opener, closer in multiline
    ]
    return Syntax(blocks, _longest_first(delimited), (comments.split() or [""])[0])


def _string(quote: str, multiline: bool, fields: str) -> Delimiter:
    has_fields = bool(fields) and quote[0] != "'"
    return Delimiter(quote, quote, "string", multiline, tuple(fields.split()) if has_fields else (), nests=has_fields)


def _longest_first(delimited: Iterable[Delimiter]) -> tuple[Delimiter, ...]:
    return tuple(sorted(delimited, key=lambda delimiter: -len(delimiter.opener)))


def _with_prefixed(syntax: Syntax, prefixes: Iterable[str]) -> Syntax:
    """The syntax with its strings also after each prefix, which makes braces in them fields."""
    prefixed = [
        replace(delimiter, opener=prefix + delimiter.opener, fields=("{",), behind=r"(?<!\w)")
        for delimiter in syntax.delimited
        if delimiter.kind == "string"
        for prefix in prefixes
    ]
    return replace(syntax, delimited=_longest_first((*prefixed, *syntax.delimited)))


def _any_case(prefixes: str) -> set[str]:
    """Each prefix in all ways to write it with capitals."""
    return {"".join(way) for prefix in prefixes.split() for way in product(*((c, c.upper()) for c in prefix))}


_C_COMMENT = ("/*", "*/")
_PYTHON = _with_prefixed(
    _syntax("indent", "#", "\" '", ('"""', '"""'), ("'''", "'''")), sorted(_any_case("f t rf fr rt tr"))
)
_PYTHON = replace(_PYTHON, definitions="python")
_C = _syntax("brace", "//", "\" '", _C_COMMENT)
_TEMPLATE = Delimiter("`", "`", "string", multiline=True, fields=("${",), nests=True)
_GO = _syntax("brace", "//", "\" ' `", _C_COMMENT)
_SCRIPT = replace(
    _GO, delimited=_longest_first(_TEMPLATE if d.opener == "`" else d for d in _GO.delimited), definitions="script"
)
_RUST = _syntax("brace", "//", '"', _C_COMMENT)  # a single quote is more often a lifetime than a character
_HASH = _syntax("none", "#", "\" '")
_SHELL = replace(  # in ${name#start} there is no comment
    _syntax("none", "#", "\" '", fields="${ $(", behind=r"(?<!\S)"), lone_closers=True, definitions="shell"
)
_YAML = replace(_syntax("indent", "#", "\" '", behind=r"(?<!\S)"), items=True)
_MARKUP = _syntax("none", "", "", ("<!--", "-->"))

_GRAMMARS: Mapping[str, str] = MappingProxyType(
    {
        "javascriptreact": "javascript",
        "typescriptreact": "tsx",
        "shellscript": "bash",
        "sh": "bash",
        **{name: name for name in ("python", "javascript", "typescript", "go", "rust", "java", "lua", "ruby", "css")},
    }
)
_SYNTAXES: Mapping[str, Syntax] = MappingProxyType(
    {
        **dict.fromkeys(("python", "starlark", "bazel", "gdscript", "mojo"), _PYTHON),
        **dict.fromkeys(("cpp", "objective-c", "objective-cpp", "java", "cuda-cpp", "glsl", "zig"), _C),
        **dict.fromkeys(("javascript", "javascriptreact", "typescript", "typescriptreact"), _SCRIPT),
        **dict.fromkeys(
            ("kotlin", "scala", "groovy"), _syntax("brace", "//", '"', _C_COMMENT, ('"""', '"""'), fields="${")
        ),
        **dict.fromkeys(("css", "scss", "less"), _syntax("brace", "", "\" '", _C_COMMENT)),
        **dict.fromkeys(("shellscript", "sh", "bash"), _SHELL),
        **dict.fromkeys(("elixir", "crystal"), _syntax("none", "#", "\" '", fields="#{")),
        "ruby": replace(_syntax("none", "#", "\" '", fields="#{"), definitions="ruby"),
        **dict.fromkeys(("perl", "r", "toml", "dockerfile", "make"), _HASH),
        **dict.fromkeys(("yaml", "dockercompose"), _YAML),
        **dict.fromkeys(("json", "jsonc"), _syntax("brace", "//", '"', _C_COMMENT)),
        **dict.fromkeys(("html", "xml", "vue", "svelte", "markdown"), _MARKUP),
        "csharp": _with_prefixed(_C, ("$", "$@", "@$")),
        "c": replace(_C, definitions="c"),
        "go": replace(_GO, definitions="go"),
        "dart": _syntax("brace", "//", "\" '", _C_COMMENT, ('"""', '"""'), fields="${"),
        "swift": _syntax("brace", "//", '"', _C_COMMENT, ('"""', '"""'), fields="\\("),
        "rust": replace(_RUST, definitions="rust"),
        "php": replace(_syntax("brace", "// #", "\" '", _C_COMMENT), definitions="php"),
        "lua": replace(_syntax("none", "--", "\" '", ("--[[", "]]")), definitions="lua"),
        "sql": _syntax("none", "--", "\" '", _C_COMMENT),
        "haskell": _syntax("none", "--", '"', ("{-", "-}")),
        "powershell": _syntax("brace", "#", "\" '", ("<#", "#>")),
    }
)
_LANGUAGES: Mapping[str, Syntax] = MappingProxyType(
    {name: replace(syntax, grammar=_GRAMMARS.get(name, "")) for name, syntax in _SYNTAXES.items()}
)
_UNKNOWN = Syntax()


def syntax_of(language: str) -> Syntax:
    """The syntax of a language id of the protocol."""
    return _LANGUAGES.get(language, _UNKNOWN)


def indentation(line: str) -> str:
    """The white space that a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def width(line: str) -> int:
    """Columns of white space that a line begins with; a tab advances to the next multiple of 8."""
    return len(indentation(line).expandtabs(8))
