"""Reads `debian/copyright` in Debian's machine-readable format (copyright-format 1.0): a licence for each file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from onnx_export.train.corpus.licences import PERMISSIVE, identify

# Debian's short names where they are not those of SPDX, in lower case.
_SHORT_NAMES: Mapping[str, str] = MappingProxyType(
    {name.lower(): name for name in PERMISSIVE}
    | {"expat": "MIT", "boost-1.0": "BSL-1.0", "bsl-1": "BSL-1.0", "cc0": "CC0-1.0", "psf-2": "PSF-2.0"}
    | {"apache-2": "Apache-2.0", "bsd-2-clauses": "BSD-2-Clause", "bsd-3-clauses": "BSD-3-Clause"}
)
_FIELD = re.compile(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
_JOINS = re.compile(r"\s+(or|and)\s+|\s*(,)\s*(?:and\s+|or\s+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileLicences:
    """Patterns of paths with their licence, an SPDX expression as far as it is known. The last that fits counts."""

    rules: tuple[tuple[re.Pattern[str], str], ...]

    def of(self, path: str) -> str | None:
        """The licence of a file, by its path in the source package; None if no pattern fits."""
        return next((licence for pattern, licence in reversed(self.rules) if pattern.fullmatch(path)), None)


def read_copyright(text: str) -> FileLicences | None:
    """The licences of the files of a source package; None if the text is not in the machine-readable format."""
    if not re.match(r"\s*Format(-Specification)?:", text):
        return None
    stanzas = [
        {name.lower(): value for name, value in _FIELD.findall(stanza)} for stanza in re.split(r"\n[ \t]*\n", text)
    ]
    texts = {
        _short(stanza["license"]).lower(): stanza["license"]
        for stanza in stanzas
        if "license" in stanza and "\n" in stanza["license"]
    }
    rules = [
        (_pattern(pattern), _expression(_short(stanza["license"]), texts))
        for stanza in stanzas
        if "files" in stanza and "license" in stanza
        for pattern in stanza["files"].split()
    ]
    return FileLicences(tuple(rules))


def _short(licence: str) -> str:
    return licence.split("\n", 1)[0].strip()


def _expression(short: str, texts: Mapping[str, str]) -> str:
    """SPDX expression of a short name such as `Expat or GPL-2+`. What follows a comma must hold too."""
    parts = [part for part in _JOINS.split(short) if part]
    words = {"or": "OR", "and": "AND", ",": "AND"}
    return " ".join(words.get(part.lower()) or _name(part, texts) for part in parts)


def _name(part: str, texts: Mapping[str, str]) -> str:
    known = _SHORT_NAMES.get(part.lower())
    if known is not None or part.lower() not in texts:
        return known or part
    return identify(texts[part.lower()].split("\n", 1)[1]) or part


def _pattern(pattern: str) -> re.Pattern[str]:
    """`*` stands for any characters, `/` too, `?` for one; a backslash makes the next character an ordinary one."""
    marks = {"*": ".*", "?": "."}
    pieces = re.findall(r"\\.|.", pattern.removeprefix("./"), re.DOTALL)
    return re.compile("".join(marks.get(piece) or re.escape(piece[-1]) for piece in pieces), re.DOTALL)
