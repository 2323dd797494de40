"""The command line and the server try a foreign model in a process of its own."""

import json

import pytest

from engine import ModelFolderError
from tests.lsp_server.commands.command_line import make_model_folder, run, run_process


@pytest.fixture
def folder(tmp_path):
    make_model_folder(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("command", ["complete", "inspect", "evaluate"])
def test_every_command_that_loads_a_model_tries_it_first(capsys, monkeypatch, folder, command, tmp_path):
    tried = []

    def probe(model):
        tried.append(model)
        raise ModelFolderError("it takes too much; use another model")

    monkeypatch.setattr("lsp_server.commands.options.probe_model", probe)
    document = tmp_path / "a.py"
    document.write_text("x = 1\n")
    case = {"id": "a", "prefix": "x", "suffix": "", "reference": " = 1", "language": "python"}
    (tmp_path / "cases.jsonl").write_text(json.dumps(case))
    what = {"complete": [f"{document}:1:2"], "inspect": [], "evaluate": [tmp_path / "cases.jsonl"]}[command]
    assert run(capsys, command, *what, "--model", folder).error == "it takes too much; use another model"
    assert tried == [folder]


def test_a_good_folder_of_somebody_else_is_used(folder, tmp_path):
    document = tmp_path / "a.py"
    document.write_text("retu\n")
    outcome = run_process(["complete", f"{document}:1:5", "--model", folder, "--max-new-tokens", "4", "--json"])
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out)["model"]["path"] == str(folder)
