"""Which entries a text uses, so that no language is left out."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from engine import ExportError
from onnx_export.entry_counts import MOST_BYTES, entry_scores, text_files
from tests.toy import byte_level


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def test_folders_give_their_files_of_code(tmp_path: Path) -> None:
    write(tmp_path, {"b/x.ts": "a", "a.py": "a", "a.png": "a", "c.unknown": "a", "big.json": b"1" * (MOST_BYTES + 1)})
    assert text_files([tmp_path]) == [tmp_path / "a.py", tmp_path / "b/x.ts"]
    assert text_files([tmp_path / "c.unknown"]) == [tmp_path / "c.unknown"]


def test_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="holds no file of code"):
        text_files([tmp_path])
    with pytest.raises(ExportError, match="does not exist"):
        text_files([tmp_path / "nowhere"])


def test_a_rare_language_is_not_drowned(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_str(byte_level())
    write(tmp_path, {"a.py": "return " * 1000 + "name" * 9, "b.lua": "import" * 10, "broken.py": b"\xff\xfe"})
    scores = entry_scores(tokenizer, text_files([tmp_path]))
    ids = tokenizer.get_vocab()
    assert scores[ids["return"]] > scores[ids["import"]] > scores[ids["name"]] > 0
    assert scores[ids["numpy"]] == 0


def test_what_occurs_twice_is_a_chance(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_str(byte_level())
    write(tmp_path, {"a.py": "import\nimport\nname\nname\nname\n"})
    scores, ids = entry_scores(tokenizer, text_files([tmp_path])), tokenizer.get_vocab()
    assert scores[ids["import"]] == 0 < scores[ids["name"]]
