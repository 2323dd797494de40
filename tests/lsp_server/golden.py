"""Reads golden files of several cases; the format is in ``tests/golden/README.md``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lsp_server.completion.prompt import Code, Place, code_at
from lsp_server.documents.documents import Document

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Case:
    """One case. ``expected`` is empty if the file says ``nothing``."""

    name: str
    options: Mapping[str, str]
    code: Code
    model: str
    expected: str


def read_cases(path: Path) -> list[Case]:
    _, *cases = re.split(r"^##### ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [_read_case(text) for text in cases]


def _read_case(text: str) -> Case:
    head, document, model, expected = re.split(r"^===== \w+\n", text, flags=re.MULTILINE)
    name, *lines = head.splitlines()
    options = dict(line.split(": ", 1) for line in lines)
    assert set(options) <= {"language", "asked", "sure", "elsewhere"}, name
    prefix, suffix = document.removesuffix("\n").split("█")
    opened = Document.create("file:///golden", options.get("language", "python"), 1, prefix + suffix)
    code = code_at(opened, Place(len(prefix), len(prefix), ""))
    expected = expected.removesuffix("\n")
    return Case(name, options, code, model.removesuffix("\n"), "" if expected == "nothing" else expected)
