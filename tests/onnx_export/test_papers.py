"""The papers of a model go with everything that is made of it."""

import json
import shutil
from pathlib import Path

import pytest

from engine.model_folder.manifest import load_manifest
from onnx_export.convert import convert
from onnx_export.entry_counts import Cut
from onnx_export.export import export_checkpoint
from onnx_export.papers import copy_papers, papers_of, stated_licence
from tests.onnx_export.gguf.files import write_model

PAPERS = (
    "LICENSE",
    "LICENSE-2.0.txt",
    "License.md",
    "NOTICE",
    "COPYING",
    "USE_POLICY.md",
    "MODEL_CARD.md",
    "README.md",
)
OTHERS = ("config.json", "LICENSE.safetensors", "notice.py", "model.onnx", "CHANGELOG.md")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_papers_are_known_by_their_names(tmp_path: Path):
    for name in (*PAPERS, *OTHERS):
        (tmp_path / name).touch()
    assert papers_of(tmp_path) == sorted(PAPERS)


@pytest.mark.parametrize("own_card", [False, True])
def test_a_readme_is_the_card_where_there_is_no_other(tmp_path: Path, own_card: bool):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    (source / "README.md").write_text("---\nlicense: mit\n---\n# Readme\n", encoding="utf-8")
    if own_card:
        (source / "MODEL_CARD.md").write_text("---\nlicense: isc\n---\n# Card\n", encoding="utf-8")
    copy_papers(source, out)
    assert [path.name for path in out.iterdir()] == ["MODEL_CARD.md"]
    assert ("# Card" if own_card else "# Readme") in text_of(out / "MODEL_CARD.md")
    assert stated_licence(source) == ("isc" if own_card else "mit")
    assert stated_licence(out) == stated_licence(source)


def test_an_export_has_the_papers_of_its_checkpoint_and_says_what_was_changed(checkpoint: Path, tmp_path: Path):
    source, out = tmp_path / "theirs", tmp_path / "out"
    shutil.copytree(checkpoint, source)
    (source / "midtoken-source.json").write_text(json.dumps({"name": "theirs"}), encoding="utf-8")
    (source / "MODEL_CARD.md").write_text("---\nlicense: bsd-3-clause\n---\n", encoding="utf-8")
    (source / "LICENSE.txt").write_text("all may", encoding="utf-8")
    (source / "NOTICE").write_text("made by them\n", encoding="utf-8")
    manifest = export_checkpoint(source, out, precision="int8", check=False)
    assert load_manifest(out).licence == manifest.licence == "bsd-3-clause"
    assert text_of(out / "LICENSE.txt") == "all may"
    theirs, ours = text_of(out / "NOTICE").strip().split("\n\n")
    assert theirs == "made by them"
    assert ours.startswith("Derived from theirs by Midtoken: written as an ONNX graph in int8.")
    assert "Licence stated by the source: bsd-3-clause." in ours


@pytest.mark.parametrize("cut", [False, True])
def test_a_converted_file_has_a_card_with_the_licence_of_its_header(tmp_path: Path, cut: bool):
    write_model(tmp_path / "m.gguf")
    (tmp_path / "a.py").write_text("def f(self):\n    return self\n" * 9, encoding="utf-8")
    kept = Cut((tmp_path / "a.py",), 300) if cut else None
    manifest = convert(tmp_path / "m.gguf", tmp_path / "out", cut=kept)
    card, notice = text_of(tmp_path / "out" / "MODEL_CARD.md"), text_of(tmp_path / "out" / "NOTICE")
    assert manifest.licence == "apache-2.0"
    assert "| licence | apache-2.0 |" in card
    assert "| file | m.gguf |" in card
    change = "written as an ONNX graph with the blocks of the file"
    change += f", {manifest.vocabulary.tokenizer} entries of the vocabulary kept" if cut else ""
    assert f"| change | {change} |" in card
    assert notice == (
        f"Derived from small by Midtoken: {change}. Licence stated by the source: apache-2.0. "
        "The licence and the notices of the source hold for this folder too.\n"
    )


def test_a_header_cannot_write_more_than_lines_of_a_table(tmp_path: Path):
    bad = "x\n# Not ours |<b>[a](http://b) \x1b[2J" + "y" * 999
    write_model(tmp_path / "m.gguf", fields={"general.author": bad, "general.license": ""})
    convert(tmp_path / "m.gguf", tmp_path / "out")
    card = text_of(tmp_path / "out" / "MODEL_CARD.md")
    assert "| licence | not stated: look it up |" in card
    assert "The source states no licence: look it up." in text_of(tmp_path / "out" / "NOTICE")
    assert "\x1b" not in card
    [author] = [line for line in card.splitlines() if line.startswith("| author |")]
    assert r"\|\<b>\[a\]" in author
    assert len(author) < 330
