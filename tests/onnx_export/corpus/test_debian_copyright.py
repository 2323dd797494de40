import pytest

from onnx_export.train.corpus.debian_copyright import read_copyright
from onnx_export.train.corpus.licences import is_permissive

HEAD = "Format: 1.0\nUpstream-Name: some\n\n"
BSD = "Redistribution and use in source and binary forms. Neither the name of X may be used to endorse or promote."


def licence(short: str, *, text: str = "") -> str | None:
    files = read_copyright(f"{HEAD}Files: *\nCopyright: some\nLicense: {short}\n{text}")
    assert files is not None
    return files.of("a/b.c")


@pytest.mark.parametrize(
    ("short", "expression", "permissive"),
    [
        ("Expat", "MIT", True),
        ("bsd-3-clause", "BSD-3-Clause", True),
        ("Apache-2.0 or MIT", "Apache-2.0 OR MIT", True),
        ("GPL-2+ or Expat", "GPL-2+ OR MIT", True),
        ("Expat and GPL-2+", "MIT AND GPL-2+", False),
        ("Expat, and ISC", "MIT AND ISC", True),
        ("Unlicense or Expat", "Unlicense OR MIT", True),
        ("public-domain", "public-domain", False),
        ("LGPL-2.1+", "LGPL-2.1+", False),
        ("", "", False),
    ],
)
def test_short_names(short: str, expression: str, permissive: bool):
    assert licence(short) == expression
    assert is_permissive(expression) is permissive


def test_an_unknown_name_is_what_its_text_says():
    assert licence("BSD-Some", text=f" {BSD}\n") == "BSD-3-Clause"
    assert licence("BSD-Some", text=f"\nLicense: BSD-Some\n {BSD}\n .\n More.\n") == "BSD-3-Clause"
    assert licence("Own", text=" Under the GNU General Public License.\n") == "not permissive"


def test_the_last_pattern_that_fits_counts():
    files = read_copyright(
        HEAD
        + "Files: *\nLicense: Expat\n\nFiles: src/*.c\n  doc/a?.md  odd\\*name.go\nLicense: ISC\n\n"
        + "Files: src/deep/x.c\nLicense: GPL-2\n"
    )
    assert files is not None
    places = ("a.c", "src/b.c", "src/deep/b.c", "src/deep/x.c", "doc/ab.md", "doc/abc.md", "odd*name.go", "oddXname.go")
    assert [files.of(path) for path in places] == ["MIT", "ISC", "ISC", "GPL-2", "ISC", "MIT", "ISC", "MIT"]
    some = read_copyright(HEAD + "Files: src/*\nLicense: MIT\n")
    assert some is not None
    assert some.of("other.c") is None


def test_words_are_not_the_format():
    assert read_copyright("This package was made by somebody.\n") is None
