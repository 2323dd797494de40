"""The licence of each file: from its own header, or its folder, or its package. Only permissive ones are accepted.

What a package says about itself is read in order of precision: the SPDX expression of its metadata, the short `License`
field, the licence text that it ships, the classifiers.
"""

import re
from collections.abc import Iterable, Sequence
from email.message import Message

from onnx_export.train.corpus.languages import PYTHON, leading_comments

PERMISSIVE = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "HPND", "ISC", "MIT", "MIT-0"}
    | {"PSF-2.0", "Python-2.0", "Unlicense", "Zlib", "Apache-2.0 WITH LLVM-exception"}
)
NOT_PERMISSIVE = "not permissive"
FIELD = {
    "apache-2.0": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-2-clause": "BSD-2-Clause",
    "mit": "MIT",
    "mit license": "MIT",
    "psf-2.0": "PSF-2.0",
}
CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
}
# The first of these that a text contains names its licence. A text with many licences begins with its own.
MARKERS = (
    (re.compile(r"Permission is hereby granted, free of charge", re.IGNORECASE), "MIT"),
    (re.compile(r"\bMIT licen[sc]e\b", re.IGNORECASE), "MIT"),
    (re.compile(r"Redistribution and use\s+(?:#\s*)?in\s+(?:#\s*)?source\s+and\s+binary", re.IGNORECASE), "BSD"),
    (re.compile(r"Apache License,?\s+(?:#\s*)?(?:Version )?2\.0", re.IGNORECASE), "Apache-2.0"),
    (
        re.compile(r"This software is provided ['\"‘`]+as-is['\"’`]+, without any express or implied", re.IGNORECASE),
        "Zlib",
    ),
    (re.compile(r"Boost Software License", re.IGNORECASE), "BSL-1.0"),
    (re.compile(r"\b(?:Python Software Foundation|PSF) License", re.IGNORECASE), "PSF-2.0"),
    (re.compile(r"Permission to use, copy, modify, and(?:/or)? distribute", re.IGNORECASE), "ISC"),
    (
        re.compile(
            r"\bGNU (?:Lesser |Library |Affero )?General Public|\b[AL]?GPL(?:v?[23])?\b|Mozilla Public License|"
            r"\bCC[ -]BY|Creative Commons Attribution|Eclipse Public License|proprietary",
            re.IGNORECASE,
        ),
        NOT_PERMISSIVE,
    ),
)
THIRD_CLAUSE = re.compile(r"Neither\s+(?:#\s*)?the\s+(?:#\s*)?names?\b|endorse or promote", re.IGNORECASE)
THIRD_CLAUSE_WITHIN = 1_600  # characters after the first words of a BSD licence
SPDX_TAG = re.compile(r"SPDX-License-Identifier:\s*([^\n*\"]+)")
HEAD_CHARS = 3_000


def package_licence(metadata: Message, licence_texts: Sequence[str]) -> str | None:
    """SPDX expression of a distribution from its METADATA and the licence files that it ships; None if it has none."""
    expression = str(metadata.get("License-Expression") or "").strip()
    if expression:
        return expression
    field = str(metadata.get("License") or "")
    if field.strip().lower() in FIELD:
        return FIELD[field.strip().lower()]
    for classifier in metadata.get_all("Classifier", []):
        if classifier in CLASSIFIERS:
            return CLASSIFIERS[classifier]
    return _first(identify(text) for text in (*licence_texts, field))


def header_licence(text: str, language: str = PYTHON) -> str | None:
    """The licence in the head of a source file: an SPDX expression, NOT_PERMISSIVE, or None if there is none."""
    head = text[:HEAD_CHARS]
    tag = SPDX_TAG.search(head)
    if tag:
        return tag[1].removesuffix("-->").removesuffix("#}").strip(" \t-")
    return identify(_comments(head) if language == PYTHON else _flat("".join(leading_comments(head, language))))


def identify(text: str) -> str | None:
    """The licence whose words come first in `text`; None if no words are known."""
    found = [(match.start(), name) for marker, name in MARKERS if (match := marker.search(text))]
    if not found:
        return None
    start, name = min(found)
    if name != "BSD":
        return name
    return "BSD-3-Clause" if THIRD_CLAUSE.search(text, start, start + THIRD_CLAUSE_WITHIN) else "BSD-2-Clause"


def is_permissive(expression: str) -> bool:
    """Whether permissive licences alone satisfy an SPDX expression: each one of an AND, one of an OR."""
    inner = re.sub(r"[()]", " ", expression)
    choices = [
        [" ".join(part.split()) for part in re.split(r"\bAND\b", choice)] for choice in re.split(r"\bOR\b", inner)
    ]
    if "(" in expression and len(choices) > 1:  # mixed nesting: every name in it must be permissive
        return all(name in PERMISSIVE for choice in choices for name in choice)
    return any(all(name in PERMISSIVE for name in choice) for choice in choices)


def _comments(head: str) -> str:
    """Comments and the docstring at the top. Words about licences further down belong to the program."""
    lines: list[str] = []
    quote = ""
    for line in head.split("\n"):
        stripped = line.strip()
        if quote:
            lines.append(line)
            if quote in line:
                quote = ""
        elif stripped.startswith("#") or not stripped:
            lines.append(line)
        elif match := re.match(r"[rRuU]?(\"\"\"|''')", stripped):
            lines.append(line)
            quote = "" if match[1] in stripped[match.end() :] else match[1]
        else:
            break
    return "\n".join(lines)


def _flat(comment: str) -> str:
    """A comment without the marks at the beginnings of its lines, so that words of two lines stand side by side."""
    return re.sub(r"\s*\n[ \t]*(?:\*|//|#)*[ \t]*", " ", comment)


def _first(names: Iterable[str | None]) -> str | None:
    return next((name for name in names if name), None)
