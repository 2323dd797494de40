"""The manifest of figures: its programs accept every command, and a row can be made again."""

import argparse
import importlib
import sys
from pathlib import Path

import pytest

from benchmarks import figures
from engine import BUNDLED_MODEL
from lsp_server import cli

ROWS = figures.read(figures.MANIFEST)
PAGES = figures.MANIFEST.parent


class Parsed(Exception):
    """Raised when the arguments were accepted."""


def parse(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a command's arguments to its parser and go no further."""
    take = argparse.ArgumentParser.parse_args

    def parse_args(parser, arguments=None, namespace=None):
        take(parser, arguments, namespace)
        raise Parsed

    program, *arguments = command
    if program == "midtoken":
        _, unknown = cli.build_parser(arguments).parse_known_args(arguments)
        assert unknown == []
        raise Parsed
    assert arguments[0] == "-m"
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(sys, "argv", arguments[1:])
    importlib.import_module(arguments[1]).main()  # noqa: TID251 - a test of commands, which name modules


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_command_is_one_that_its_program_takes(
    row: figures.Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for command in row.commands_with({}, tmp_path):
        with pytest.raises(Parsed):
            parse(command, monkeypatch)
        monkeypatch.undo()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_is_a_section_of_its_page_and_names_the_files_it_uses(row: figures.Figure):
    assert f"## {row.section}\n" in (PAGES / row.page).read_text(encoding="utf-8")
    used = [name for command in row.commands for part in command for name in figures._PLACE.findall(part)]
    assert set(row.files) <= set(used)
    assert all(len(found) in (0, 64) for found in row.files.values())


def test_names_are_used_once():
    assert len({row.name for row in ROWS}) == len(ROWS)


def manifest(folder: Path, monkeypatch: pytest.MonkeyPatch, commands: str, files: str = "") -> None:
    path = folder / "figures.toml"
    fields = "\n".join(f'{name} = "x"' for name in ("page", "section", "date", "machine"))
    path.write_text(f'[[figure]]\nname = "row"\n{fields}\ncommands = {commands}\n{files}', encoding="utf-8")
    monkeypatch.setattr(figures, "MANIFEST", path)


def test_a_row_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    text = tmp_path / "text"
    text.write_text("import nump", encoding="utf-8")
    files = f'files.text = "{figures.sum_of(text)}"'
    manifest(tmp_path, monkeypatch, '["midtoken complete --prefix-file {text}"]', files)
    assert figures.main(["row", "--file", f"text={text}"]) == 0
    assert capfd.readouterr().out.startswith("y as np")
    text.write_text("import os", encoding="utf-8")
    assert figures.main(["row", "--file", f"text={text}"]) == 1
    assert "is not the file of row" in capfd.readouterr().err


def test_what_one_command_writes_the_next_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write = "python -c import(pathlib)"
    manifest(tmp_path, monkeypatch, f'["{write}", "python -c pass"]')
    assert figures.main(["row"]) == 1  # the first one fails, and with it the row
    row = figures.read(figures.MANIFEST)[0]
    made = figures.Figure("a", "b", "c", "d", "e", (("python", "{x}"), ("python", "--y={x}")), {})
    assert made.commands_with({}, tmp_path) == [["python", str(tmp_path / "x")], ["python", f"--y={tmp_path / 'x'}"]]
    assert row.files == {}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["other"], "no figure is called 'other'"),
        (["row"], "row needs the file 'text'; give --file text=PATH"),
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
    manifest(tmp_path, monkeypatch, '["python {text}"]', f'files.text = "{"0" * 64}"')
    assert figures.main(arguments) == 1
    message = capsys.readouterr().err
    assert says in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "figure = 1", "[[figure]]\nname = 'x'", "]"])
def test_a_manifest_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str):
    (tmp_path / "figures.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(figures, "MANIFEST", tmp_path / "figures.toml")
    assert figures.main([]) == 1


def test_a_model_folder_is_known_by_its_manifest():
    assert figures.sum_of(BUNDLED_MODEL) == figures.sum_of(BUNDLED_MODEL / "midtoken.json")
