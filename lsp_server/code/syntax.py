"""What must be known of a language to read a line of it: comments, strings, brackets, and how blocks are marked.

No parser: a file that is being typed seldom parses, and what is needed here stands on the surface. Prose and unknown
languages have neither comments nor strings, so nothing is ever taken for one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

BRACKETS: Mapping[str, str] = MappingProxyType({"(": ")", "[": "]", "{": "}"})
"""Opening brackets to closing ones; the same in all languages that have them."""

Blocks = Literal["indent", "brace", "none"]


@dataclass(frozen=True, slots=True)
class Delimiter:
    """What stands between ``opener`` and ``closer``; an empty closer is the end of the line.

    A ``multiline`` one goes on over line breaks; any other ends with its line, closed or not.
    """

    opener: str
    closer: str
    kind: Literal["comment", "string"]
    multiline: bool = False


@dataclass(frozen=True, slots=True)
class Syntax:
    """A language: its blocks are ``indent`` (after a colon), ``brace``, or unknown; ``delimited`` longest opener first.

    ``comment`` begins a comment up to the end of the line; empty where there is none.
    """

    blocks: Blocks = "none"
    delimited: tuple[Delimiter, ...] = ()
    comment: str = ""

    def opens_block(self, line: str) -> bool:
        """Whether the code of ``line`` (comments taken off, no white space at its end) begins a block."""
        if self.blocks == "indent":
            return line.endswith(":")
        return self.blocks == "brace" and line.endswith("{")


def _syntax(blocks: Blocks, comments: str, strings: str, *multiline: tuple[str, str]) -> Syntax:
    """Comment openers and quotes are separated by spaces; a ``multiline`` pair that opens with a quote is a string."""
    quotes = strings.split()
    delimited = [Delimiter(opener, "", "comment") for opener in comments.split()]
    delimited += [Delimiter(quote, quote, "string", multiline=quote == "`") for quote in quotes]
    delimited += [
        Delimiter(opener, closer, "string" if opener[0] in "\"'`" else "comment", multiline=True)
        for opener, closer in multiline
    ]
    delimited.sort(key=lambda delimiter: -len(delimiter.opener))
    return Syntax(blocks, tuple(delimited), (comments.split() or [""])[0])


_C_COMMENT = ("/*", "*/")
_PYTHON = _syntax("indent", "#", "\" '", ('"""', '"""'), ("'''", "'''"))
_C = _syntax("brace", "//", "\" '", _C_COMMENT)
_SCRIPT = _syntax("brace", "//", "\" ' `", _C_COMMENT)
_RUST = _syntax("brace", "//", '"', _C_COMMENT)  # a single quote is a lifetime more often than a character
_HASH = _syntax("none", "#", "\" '")
_MARKUP = _syntax("none", "", "", ("<!--", "-->"))

_LANGUAGES: Mapping[str, Syntax] = MappingProxyType(
    {
        **dict.fromkeys(("python", "starlark", "bazel", "gdscript", "mojo"), _PYTHON),
        **dict.fromkeys(("c", "cpp", "objective-c", "objective-cpp", "java", "csharp", "cuda-cpp", "glsl", "zig"), _C),
        **dict.fromkeys(("javascript", "javascriptreact", "typescript", "typescriptreact", "go", "dart"), _SCRIPT),
        **dict.fromkeys(
            ("kotlin", "scala", "swift", "groovy"), _syntax("brace", "//", '"', _C_COMMENT, ('"""', '"""'))
        ),
        **dict.fromkeys(("css", "scss", "less"), _syntax("brace", "", "\" '", _C_COMMENT)),
        **dict.fromkeys(
            ("shellscript", "sh", "bash", "ruby", "perl", "r", "toml", "elixir", "dockerfile", "make"), _HASH
        ),
        **dict.fromkeys(("yaml", "dockercompose"), _syntax("indent", "#", "\" '")),
        **dict.fromkeys(("json", "jsonc"), _syntax("brace", "//", '"', _C_COMMENT)),
        **dict.fromkeys(("html", "xml", "vue", "svelte", "markdown"), _MARKUP),
        "rust": _RUST,
        "php": _syntax("brace", "// #", "\" '", _C_COMMENT),
        "lua": _syntax("none", "--", "\" '", ("--[[", "]]")),
        "sql": _syntax("none", "--", "\" '", _C_COMMENT),
        "haskell": _syntax("none", "--", '"', ("{-", "-}")),
        "powershell": _syntax("brace", "#", "\" '", ("<#", "#>")),
    }
)
_UNKNOWN = Syntax()


def syntax_of(language: str) -> Syntax:
    """The syntax of a language id of the protocol."""
    return _LANGUAGES.get(language, _UNKNOWN)


def indentation(line: str) -> str:
    """The white space that a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def width(line: str) -> int:
    """Columns of white space that a line begins with; a tab goes to the next multiple of 8."""
    return len(indentation(line).expandtabs(8))
