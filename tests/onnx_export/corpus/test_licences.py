from email.message import Message

import pytest

from onnx_export.train.corpus.licences import (
    NOT_PERMISSIVE,
    header_licence,
    identify,
    is_permissive,
    package_licence,
)

BSD = "Redistribution and use in source and binary forms, with or without modification, are permitted"


def metadata(**fields: str) -> Message:
    message = Message()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    ("expression", "permissive"),
    [
        ("MIT", True),
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", True),
        ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSL-1.0", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND (Apache-2.0 OR GPL-3.0-only)", False),  # a doubtful licence is refused
        ("(MIT OR Apache-2.0)", True),
        ("LGPL-2.1-or-later", False),
        ("MPL-2.0", False),
        (NOT_PERMISSIVE, False),
        ("", False),
    ],
)
def test_is_permissive(expression: str, permissive: bool):
    assert is_permissive(expression) is permissive


def test_a_package_says_its_licence_in_several_places():
    everything = metadata(
        License_Expression="MIT", License="GPL", Classifier="License :: OSI Approved :: Apache Software License"
    )
    assert package_licence(everything, [BSD]) == "MIT"
    assert package_licence(metadata(License="Apache 2.0 License"), [BSD]) == "Apache-2.0"
    assert package_licence(metadata(Classifier="License :: OSI Approved :: MIT License"), [BSD]) == "MIT"
    assert package_licence(metadata(License="BSD"), [BSD + "\nNeither the name of"]) == "BSD-3-Clause"
    assert package_licence(metadata(License=BSD), []) == "BSD-2-Clause"
    assert package_licence(metadata(License="see the file"), []) is None
    assert package_licence(metadata(), []) is None


def test_the_first_licence_of_a_text_counts():
    assert identify(BSD + "\nthe runtime is under the GNU General Public License") == "BSD-2-Clause"
    assert identify("GNU General Public License\n" + BSD) == NOT_PERMISSIVE
    assert identify("Permission is hereby granted, free of charge, to") == "MIT"
    assert identify("Licensed under the Apache License, Version 2.0") == "Apache-2.0"
    assert identify("do what you like") is None


@pytest.mark.parametrize(
    ("head", "licence"),
    [
        ("# SPDX-License-Identifier: BSD-3-Clause\n", "BSD-3-Clause"),
        ("# Licensed under the Apache License, Version 2.0\nimport a\n", "Apache-2.0"),
        ('"""A module.\n\nThis is released under the MIT License.\n"""\n', "MIT"),
        ("#!/bin/python\n\n# Mozilla Public License 2.0\n", NOT_PERMISSIVE),
        ('r"""Docs."""\n# LGPL\nimport a\n', NOT_PERMISSIVE),
        ("# text from a wiki, CC BY-SA 3.0\n", NOT_PERMISSIVE),
        ('import a\nLICENCES = ["GPL"]\n', None),
        ('"""Docs."""\nimport a\n# MIT License\n', None),
        ("", None),
    ],
)
def test_headers(head: str, licence: str | None):
    assert header_licence(head) == licence


@pytest.mark.parametrize(
    ("language", "head", "licence"),
    [
        ("c", "/* SPDX-License-Identifier: MIT */\nint a;\n", "MIT"),
        ("html", "<!-- SPDX-License-Identifier: ISC -->\n", "ISC"),
        ("c", "/*\n * Redistribution and use in source and\n * binary forms\n */\n", "BSD-2-Clause"),
        ("go", "// Licensed under the Apache\n// License, Version 2.0\npackage a\n", "Apache-2.0"),
        ("javascript", "'use strict';\n// GPL\n", None),
        ("rust", "// under the GNU General Public License\n", NOT_PERMISSIVE),
        ("shell", "#!/bin/bash\n# This is under the MIT License\n", "MIT"),
    ],
)
def test_headers_of_other_languages(language: str, head: str, licence: str | None):
    assert header_licence(head, language) == licence
