"""Which names are known at a place."""

import pytest

from lsp_server.code.imports import python_imports
from lsp_server.code.known_names import KnownNames, Verdict, expected_names
from lsp_server.code.python_library import always_there, module_names
from lsp_server.code.references import Reference
from lsp_server.code.scanner import scan
from lsp_server.code.syntax import syntax_of
from lsp_server.code.words import has_word, words_that_begin

PREFIX = """
import os, asyncio as aio
import xml.etree.ElementTree
from os import path as p, getcwd
from collections import (
    OrderedDict as Ordered,
)
from pathlib import Path
import numpy as np

def load(files): np.array(aio.invented)
"""


def verdict(name: str, base: str | None = None, language: str = "python") -> Verdict:
    known = KnownNames(PREFIX + "loa", "\nsaved = 1\n", syntax_of(language), (frozenset({"elsewhere"}),))
    return known.verdict(Reference(0, len(name), name, base))


@pytest.mark.parametrize(
    ("name", "base", "expected"),
    [
        ("load", None, "known"),
        ("loa", None, "unknown"),  # the word that is being typed
        ("saved", None, "known"),
        ("elsewhere", None, "known"),
        ("nowhere", None, "unknown"),
        ("len", None, "known"),
        ("append", None, "unknown"),
        ("append", "rows", "known"),
        ("exists", "", "known"),  # a member of pathlib
        ("getcwd", "os", "known"),
        ("getcwf", "os", "absent"),
        ("join", "os.path", "known"),
        ("joiner", "os.path", "absent"),
        ("joiner", "p", "absent"),
        ("Semaphore", "aio", "known"),
        ("invented", "aio", "known"),  # it is part of the text
        ("Semain", "aio", "absent"),
        ("Element", "xml.etree.ElementTree", "known"),
        ("zeros", "np", "unknown"),
        ("array", "np", "known"),
        ("__doc__", "os", "known"),
        ("Counter", "from collections import ", "known"),
        ("Countre", "from collections import ", "absent"),
        ("anything", "from elsewhere import ", "known"),
    ],
)
def test_whether_there_is_such_a_name(name: str, base: str | None, expected: Verdict):
    assert verdict(name, base) == expected


def test_a_script_has_its_own():
    assert verdict("querySelector", "document", "typescript") == "known"
    assert verdict("Semain", "asyncio", "typescript") == "unknown"


@pytest.mark.parametrize(
    ("prefix", "names", "is_all"),
    [
        ("import asyncio\nx = asyncio.Sema", {"Semaphore"}, True),
        ("from asyncio import Sema", {"Semaphore"}, True),
        ("class A: _entries = _enabled = 1\n\nprint(self._en", {"_entries", "_enabled"}, False),
        ("rows = 1\nrow", set(), False),  # as far as we know, a new name
        ("rows = 1\nprint(row", {"rows"}, False),
        ("rows = 1\nprint(", set(), False),
        ("rows = 1  # row", set(), False),
    ],
)
def test_what_the_word_at_the_cursor_may_become(prefix: str, names: set[str], is_all: bool):
    syntax = syntax_of("python")
    found = expected_names(prefix, "\n", syntax, scan(prefix, syntax))
    assert (set(found.names), found.is_all) == (names, is_all)


def test_in_front_of_a_word_nothing_is_expected():
    syntax = syntax_of("python")
    assert not expected_names("rows = 1\nprint(row", "s)", syntax, scan("rows = 1\nprint(row", syntax)).names


def test_imports():
    found = python_imports(PREFIX)
    assert found.modules == {"os": "os", "aio": "asyncio", "xml": "xml", "p": "os.path", "np": "numpy"}
    assert found.module("xml.etree") is not None
    assert found.module("np") is None
    assert found.module("invented") is None


def test_the_library():
    asyncio, builtins = module_names("asyncio"), always_there()
    assert asyncio is not None
    assert {"Semaphore", "gather", "locks"} <= asyncio.given
    assert "acquire" in asyncio.members
    assert module_names("numpy") is None
    assert {"print", "ValueError", "__import__"} <= builtins.given
    assert {"append", "items", "readline", "__len__"} <= builtins.members


@pytest.mark.parametrize(
    ("text", "word", "there"),
    [
        ("rows row", "row", True),
        ("rows", "row", False),
        ("xrow row_", "row", False),
        ("a.b", "a", True),
        ("größe", "gr", False),
    ],
)
def test_a_word_of_a_text(text: str, word: str, there: bool):
    assert has_word(text, word) == there


def test_words_that_begin():
    assert words_that_begin("row rows xrows row_ro", "row") == {"rows", "row_ro"}
