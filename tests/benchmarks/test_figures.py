"""The manifest of figures: its programs accept every command, and a row can be made again."""

import argparse
import hashlib
import importlib
import re
import sys
from pathlib import Path

import pytest

from benchmarks import figures, manifest
from benchmarks.manifest import Figure
from engine import BUNDLED_MODEL
from lsp_server import cli

FOUND = manifest.read(figures.MANIFEST)
ROWS = FOUND.figures
PAGES = figures.MANIFEST.parent
COMPLETE = ("editors.md", "gguf.md", "healing.md", "memory.md", "structure.md")
"""Pages of which every section must be in the manifest. The others get new sections before these have a row."""


class Parsed(Exception):
    """Raised when the arguments were accepted."""


def parse(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a command's arguments to its parser and go no further."""
    take = argparse.ArgumentParser.parse_args

    def parse_args(parser, arguments=None, namespace=None):
        take(parser, arguments, namespace)
        raise Parsed

    program, *arguments = command
    if program == "make":
        makefile = (manifest.ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in arguments)
        raise Parsed
    if program == "midtoken":
        _, unknown = cli.build_parser(arguments).parse_known_args(arguments)
        assert unknown == []
        raise Parsed
    assert arguments[0] == "-m"
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(sys, "argv", arguments[1:])
    module = arguments[1]
    name = f"{module}.__main__" if (manifest.ROOT / module.replace(".", "/")).is_dir() else module
    importlib.import_module(name).main()  # noqa: TID251 - a test of commands, which name modules


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_command_is_one_that_its_program_takes(row: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for command in row.commands_with({}, tmp_path):
        with pytest.raises(Parsed):
            parse(command, monkeypatch)
        monkeypatch.undo()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_has_its_section_its_seed_and_the_sums_of_what_it_rests_on(row: Figure):
    assert f"## {row.section}\n" in (PAGES / row.page).read_text(encoding="utf-8")
    assert isinstance(row.seed, int) or row.seed.startswith(("nothing is drawn", "of dropout"))
    inputs = FOUND.inputs_of(row)
    for each in inputs:
        assert [bool(each.sum), bool(each.commit), bool(each.lost)].count(True) == 1, each
    cases = [command[4] for command in row.commands if command[2:3] in MAKERS]
    if not row.note and not any(each.lost for each in inputs):
        assert [f"{{{name}}}" for name in row.made] == cases
    assert set(row.made) <= set(row.names())
    assert row.code or row.page != "healing.md" or row.date < "2026-11-29" or "{bundled}" not in str(row.commands)


MAKERS = (("benchmarks.cases",), ("benchmarks.humaneval",))


def test_names_and_sums_are_well_formed_and_every_input_is_used():
    assert len({row.name for row in ROWS}) == len(ROWS)
    sums = [each.sum for each in FOUND.inputs.values()] + [each for row in ROWS for each in row.made.values()]
    assert all(re.fullmatch("[0-9a-f]{64}", found) for found in sums if found)
    assert all(re.fullmatch("[0-9a-f]{40}", each.commit) for each in FOUND.inputs.values() if each.commit)
    assert {each.name for row in ROWS for each in FOUND.inputs_of(row)} == set(FOUND.inputs)


def test_a_command_names_the_commit_that_its_repository_must_have():
    for row in ROWS:
        for command in (found for found in row.commands if "benchmarks.added_files" in found):
            repository = FOUND.inputs[command[3].strip("{}")]
            assert repository.commit.startswith(command[command.index("--commit") + 1])


def test_what_lies_in_the_repository_is_what_the_figures_had():
    for each in FOUND.inputs.values():
        if each.path and each.sum:
            assert manifest.sum_of(manifest.ROOT / each.path) == each.sum, f"{each.path} is another: measure anew"


@pytest.mark.parametrize("page", sorted({path.name for path in PAGES.glob("*.md")} - {"README.md", "log.md"}))
def test_every_section_has_a_row_or_says_why_it_has_none(page: str):
    sections = set(re.findall(r"^## (.+)$", (PAGES / page).read_text(encoding="utf-8"), re.MULTILINE))
    told = {row.section for row in ROWS if row.page == page} | {e.section for e in FOUND.without if e.page == page}
    assert told <= sections
    if page in COMPLETE:
        assert sections == told


@pytest.mark.parametrize("page", ["README.md", *(f"docs/measurements/{path.name}" for path in PAGES.glob("*.md"))])
def test_rows_that_documents_name_exist(page: str):
    """They are named as ``figures NAME``."""
    text = (manifest.ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`figures ([a-z][\w-]+)`", text)) | set(
        re.findall(r"benchmarks\.figures ([a-z][\w-]+)", text)
    )
    assert named <= {row.name for row in ROWS}


def test_the_first_page_names_the_rows_of_its_figures():
    assert "`figures " in (manifest.ROOT / "README.md").read_text(encoding="utf-8")


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, commands: str, inputs: str = "", made: str = "") -> None:
    """A manifest of one row; ``commands`` and the others are in TOML."""
    path = folder / "figures.toml"
    fields = "\n".join(f'{name} = "x"' for name in ("page", "section", "date", "machine"))
    row = f'[[figure]]\nname = "row"\n{fields}\nseed = 0\ncommands = {commands}\n{made}'
    path.write_text(f"{inputs}\n{row}", encoding="utf-8")
    monkeypatch.setattr(figures, "MANIFEST", path)


def test_a_row_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    text = tmp_path / "text"
    text.write_text("import nump", encoding="utf-8")
    inputs = f'[inputs.text]\nwhat = "half a line"\nsum = "{manifest.sum_of(text)}"'
    show = "print(open('{text}').read())"
    write(tmp_path, monkeypatch, f'["python -c {show}"]', inputs, 'code = "abc"\nnote = "here"')
    assert figures.main(["row", "--file", f"text={text}"]) == 0
    out = capfd.readouterr().out
    noted = "note: the figure is of commit abc; later code may complete otherwise\nnote: here\n"
    assert out == f"{noted}$ python -c print(open('{text}').read())\nimport nump\n"
    text.write_text("import os", encoding="utf-8")
    assert figures.main(["row", "--file", f"text={text}"]) == 1
    assert "is not the 'text' of row: its SHA-256 is " in capfd.readouterr().err
    assert figures.main(["row"]) == 1
    assert capfd.readouterr().err == "error: row needs more files; give --file text=PATH (half a line)\n"


def test_cases_that_differ_from_those_of_the_figure_end_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    source = tmp_path / "source"
    source.write_text("first = 1\n", encoding="utf-8")
    make = "python -c open('{cases}','w').write(open('{source}').read())"
    inputs = '[inputs.source]\nwhat = "a file"\nlost = "it is an example"'
    made = f'made.cases = "{manifest.sum_of(source)}"'
    write(tmp_path, monkeypatch, f"""["{make}", "python -c print('asked')"]""", inputs, made)
    assert figures.main(["row", "--file", f"source={source}"]) == 0
    out = capfd.readouterr().out
    assert "note: what row had as 'source' was not kept (it is an example); figures may differ" in out
    assert "the cases are those of row (SHA-256 " in out
    assert out.endswith("asked\n")
    source.write_text("first = 2\n", encoding="utf-8")
    assert figures.main(["row", "--file", f"source={source}"]) == 1
    said = capfd.readouterr()
    assert "the cases made here are not those of row: SHA-256 " in said.err
    assert "asked" not in said.out


def test_a_repository_is_known_by_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    inputs = f'[inputs.clone]\nwhat = "example.org/a"\ncommit = "{"0" * 40}"'
    write(tmp_path, monkeypatch, '["python -c pass {clone}"]', inputs)
    assert figures.main(["row", "--file", f"clone={tmp_path}"]) == 1
    assert "is no clone of example.org/a with the commit 000" in capfd.readouterr().err


def test_a_command_that_fails_ends_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, monkeypatch, '["python -c import(pathlib)", "python -c pass"]')
    assert figures.main(["row"]) == 1


def test_what_one_command_writes_the_next_one_reads(tmp_path: Path):
    made = Figure("a", "b", "c", "d", "e", 0, (("python", "{x}"), ("python", "--y={x}")), {})
    assert made.commands_with({}, tmp_path) == [["python", str(tmp_path / "x")], ["python", f"--y={tmp_path / 'x'}"]]
    assert made.names() == ["x"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["other"], "no figure is called 'other'"),
        (["row"], "row needs more files; give --file text=PATH (half a line)"),
        (["row", "--file", "text"], "--file is 'text'; it must be NAME=PATH"),
        (["row", "--file", "text=/none"], "No such file"),
    ],
)
def test_wrong_usage_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
):
    inputs = f'[inputs.text]\nwhat = "half a line"\nsum = "{"0" * 64}"'
    write(tmp_path, monkeypatch, '["python {text}"]', inputs)
    assert figures.main(arguments) == 1
    message = capsys.readouterr().err
    assert says in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "figure = 1", "[[figure]]\nname = 'x'", "]", "inputs = 1\nfigure = []"])
def test_a_manifest_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str):
    (tmp_path / "figures.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(figures, "MANIFEST", tmp_path / "figures.toml")
    assert figures.main([]) == 1


def test_sums_of_folders(tmp_path: Path):
    assert manifest.sum_of(BUNDLED_MODEL) == manifest.sum_of(BUNDLED_MODEL / "midtoken.json")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.py").write_bytes(b"1\n")
    (tmp_path / "a.py").write_bytes(b"2\n")
    listed = "".join(f"{manifest.sum_of(tmp_path / name)}  {name}\n" for name in ("a.py", "b/x.py"))
    assert manifest.sum_of(tmp_path) == hashlib.sha256(listed.encode()).hexdigest()
    before = manifest.sum_of(tmp_path)
    (tmp_path / "b" / "__pycache__").mkdir()
    (tmp_path / "b" / "__pycache__" / "x.pyc").write_bytes(b"3")
    (tmp_path / ".git").write_bytes(b"4")
    assert manifest.sum_of(tmp_path) == before
    (tmp_path / "a.py").rename(tmp_path / "c.py")
    assert manifest.sum_of(tmp_path) != before
