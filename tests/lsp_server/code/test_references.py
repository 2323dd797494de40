"""Which words of a text use a name. ``

`` is the cursor, the completion is in ``[ ]``.
"""

import re

import pytest

from lsp_server.code.references import Names, names_in
from lsp_server.code.scanner import scan
from lsp_server.code.syntax import syntax_of


def names(document: str, language: str = "python") -> Names:
    match = re.fullmatch(r"(.*)\|‹(.*?)›(.*)", document, re.DOTALL)
    assert match is not None
    prefix, text, rest = match.groups()
    syntax = syntax_of(language)
    return names_in(text, prefix, rest, syntax, scan(prefix, syntax))


@pytest.mark.parametrize(
    ("document", "used"),
    [
        ("self._en|‹tire›", ["self._entire"]),
        ("x = a|‹bc(de.fg)[0].hi›", ["abc", "de", "de.fg", ".hi"]),
        ("from asyncio import Sem|‹ain as x›", ["from asyncio import.Semain"]),
        ("import o|‹s, sys›", []),
        ("import mat|‹plotlib.pyplot as plt›", []),
        ("from mat|‹plotlib.pyplot import›", []),
        ("def f(a|‹, b=cd, *efg: Hij):›", ["cd", "Hij"]),
        ("def f(a,\n      b|‹c: De = fg›", ["De", "fg"]),
        ("class A(B|‹c):›", ["Bc"]),
        ("foo(a|‹b, key=cd)›", ["ab", "cd"]),
        ("foo(a,\n    b|‹c)›", ["bc"]),
        ("res|‹ult = compute(x)›", ["compute", "x"]),
        ("res|‹ult›", []),
        ("res|‹ult.go()›", ["result", "result.go"]),
        ("a, b|‹c = foo()›", ["foo"]),
        ("a.b|‹c = 1›", []),
        ("if a.b|‹c == 1:›", ["a.bc"]),
        ("self.rows|‹: list = []›", []),
        ("for i|‹tem, k in rows:›", ["in", "rows"]),
        ("with open(p) as f|‹h:›", []),
        ("f(|‹lambda q, r: q + zz)›", ["lambda", "q", "zz"]),
        ("print(|‹'abc', rb'x', f'{zed}', oo)›", ["zed", "oo"]),
        ("x = f'{na|‹me}' + g›'", ["name", "g"]),
        ("x = 'abc |‹def' + gh›", ["gh"]),
        ("foo(|‹a)  # see Thing›", ["a"]),
        ("match x:\n    case Po|‹int(x=y):›", []),
        ("while (ch|‹unk := read()):›", ["read"]),
    ],
)
def test_python(document: str, used: list[str]):
    found = names(document).used
    assert [("" if name.base is None else f"{name.base}.") + name.name for name in found] == used


@pytest.mark.parametrize(
    ("document", "used"),
    [
        ("const x|‹y = fooBar(a)›", ["fooBar", "a"]),
        ("function f(a|‹b, c: Dee) {›", ["Dee"]),
        ("this.x.y|‹z = 3›", []),
        ("return this.x.y|‹z›", ["this.x.yz"]),
        ("return user?.na|‹me›", ["user.name"]),
        ("return fo|‹o(a, b => b.zz, (q, w) => q)›", ["foo", "a", "b", "b.zz", "q"]),
        ("x = { na|‹me: val, other }›", ["val", "other"]),
        ("const { a|‹bc, d } = props;›", ["props"]),
        ("  private fo|‹o: Bar;›", ["Bar"]),
        ("  do|‹It(a: string, b): void {›", ["string", "void"]),
        ("  if (doI|‹t(abc)) {›", ["doIt", "abc"]),
        ("import { a|‹bc } from 'x'›", []),
        ("export { a|‹bc }›", []),
        ("x = `${na|‹me} abc ${other}`›", ["name", "other"]),
        ("let m = new Ma|‹p<T, Foo>()›", ["Map", "Foo"]),
        ("try { go() } catch (e|‹rror) {›", []),
        ("for (const o|‹ne of many) {›", ["of", "many"]),
        ("class A {\n  #pri|‹vate = 1›", []),
    ],
)
def test_typescript(document: str, used: list[str]):
    found = names(document, "typescript").used
    assert [("" if name.base is None else f"{name.base}.") + name.name for name in found] == used


def test_where_a_name_stands_and_what_is_defined():
    found = names("total = re|‹sult + other\nfor row in rows: pass›")
    assert (found.used[0].start, found.used[0].end) == (-2, 4)
    assert found.defined == {"row"}
