"""The benchmark of names and other files asks the questions that it describes, on a folder of small files."""

from pathlib import Path

import pytest

from benchmarks import files
from tests.lsp_server.commands.command_line import make_model_folder

HELPER = "def frobnicate(spam, eggs):\n    return spam + eggs\n\n\n" * 3
USER = "from helper import frobnicate\n\n\n" + "".join(f"value{n} = frobnicate({n}, {n})\n" for n in range(20))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "helper.py").write_text(HELPER, encoding="utf-8")
    (tmp_path / "tree" / "user.py").write_text(USER, encoding="utf-8")
    return tmp_path / "tree"


def test_the_ways_differ_in_what_goes_along(tree):
    offset = USER.index("frobnicate(19")
    case, ways = files.ways_of(tree / "user.py", offset, "user.py", [tree / "helper.py"], suffix=False)
    assert (case.prefix, case.suffix, case.path) == (USER[:offset], "", "user.py")
    assert case.reference == "frobnicate(19, 19)"
    assert [(bool(way.path), bool(way.extra_context)) for way in ways.values()] == [
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    ]
    assert ways["others, as files"].extra_context[0].path == "tree/helper.py"


def test_the_files_beside_one_are_its_neighbours():
    names = [Path(f"{n:03}.py") for n in range(100)]
    found = files.beside(names, names[50])
    assert len(found) == files.OTHERS
    assert names[49] in found
    assert names[51] in found
    assert names[50] not in found
    assert files.beside(names[:3], names[0]) == names[1:3]


def test_a_row_for_each_way(tree, tmp_path, capsys):
    make_model_folder(tmp_path / "model")
    assert files.main([str(tree), "--model", str(tmp_path / "model"), "--count", "2"]) == 0
    out = capsys.readouterr().out
    for way in ("alone", "path", "others, as comments", "others, as files"):
        assert way in out
    assert files.main([str(tree), "--model", str(tmp_path / "model"), "--count", "99999"]) == 1
    assert "ask for fewer" in capsys.readouterr().err
