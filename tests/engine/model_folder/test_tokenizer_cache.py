"""What was read from a tokenizer file comes back from the cache as it was, or not at all."""

import json
from pathlib import Path

import pytest

from engine.errors import ModelFolderError
from engine.model_folder import tokenizer_cache
from engine.model_folder.tokenizer_cache import MOST_FILES, known_tokenizer
from engine.text.tokenizer import Tokenizer
from engine.text.vocabulary import TokenizerFile, Vocabulary, load_vocabulary, merge_pairs, read_tokenizer
from tests import toy

TEXT = "def f(größe):\n\treturn '日本' + x  # <0x0A> \u0301\r\n"
TOKENIZERS = {
    "byte-level": toy.byte_level(),
    "superword": toy.superword(),
    "sentencepiece": toy.sentencepiece(),
    "metaspace": toy.sentencepiece(metaspace=True),
}


@pytest.fixture(autouse=True)
def every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_cache, "LEAST_CHARACTERS", 0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def counted(text: str, control: tuple[int, ...]) -> tuple[TokenizerFile, Vocabulary]:
        found.append(text)
        return read_tokenizer(text, control)

    monkeypatch.setattr(tokenizer_cache, "read_tokenizer", counted)
    return found


def parts(text: str, folder: Path, control: tuple[int, ...] = ()) -> Tokenizer:
    return Tokenizer(text, control, read=lambda text, control: known_tokenizer(text, control, folder))


def same(one: Vocabulary, other: Vocabulary) -> bool:
    simple = ("token_bytes", "control_ids", "longest", "kind", "missing")
    equal = all(getattr(one, name) == getattr(other, name) for name in simple)
    return equal and one.candidate_ids.tolist() == other.candidate_ids.tolist()


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_second_time_nothing_is_read_and_all_is_the_same(name: str, tmp_path: Path, reads: list[str]):
    text = TOKENIZERS[name]
    expected = Tokenizer(text)
    for _ in range(3):
        found = parts(text, tmp_path)
        assert same(found.vocabulary, expected.vocabulary)
        assert not found.vocabulary.candidate_ids.flags.writeable
        assert found.encode(TEXT) == expected.encode(TEXT)
        assert found.encode_bytes(b"\xe6\x97x\xff") == expected.encode_bytes(b"\xe6\x97x\xff")
        assert found.split_stable(TEXT) == expected.split_stable(TEXT)
    assert len(reads) == 1


@pytest.mark.parametrize("name", TOKENIZERS)
def test_entries_merges_and_settings_come_back(name: str, tmp_path: Path):
    first, _ = known_tokenizer(TOKENIZERS[name], (), tmp_path)
    again, _ = known_tokenizer(TOKENIZERS[name], (), tmp_path)
    assert list(again.entries.items()) == list(first.entries.items())
    assert merge_pairs(again) == merge_pairs(first)
    assert (again.kind, again.ordinary, again.control, again.dropped) == (
        first.kind,
        first.ordinary,
        first.control,
        first.dropped,
    )
    assert again.raw == {name: part for name, part in first.raw.items() if name not in ("model", "added_tokens")}


def test_other_control_ids_are_another_tokenizer(tmp_path: Path, reads: list[str]):
    text = TOKENIZERS["byte-level"]
    raw = json.loads(text)
    raw["added_tokens"] = [{"id": len(raw["model"]["vocab"]), "content": "<fim>", "special": False}]
    text = json.dumps(raw)
    token = raw["added_tokens"][0]["id"]
    for _ in range(2):
        assert parts(text, tmp_path).vocabulary.token_bytes[token] == b"<fim>"
        assert parts(text, tmp_path, (token,)).vocabulary.token_bytes[token] == b""
    assert len(reads) == 2


@pytest.mark.parametrize("damage", ["empty", "short", "a bit", "foreign", "longer", "a folder"])
def test_a_damaged_file_is_never_used_and_is_written_again(damage: str, tmp_path: Path, reads: list[str]):
    text = TOKENIZERS["byte-level"]
    expected = load_vocabulary(text)
    known_tokenizer(text, (), tmp_path)
    [place] = tmp_path.iterdir()
    whole = place.read_bytes()
    if damage == "a folder":
        place.unlink()
        place.mkdir()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        broken = {"empty": b"", "short": whole[:-9], "a bit": flipped, "foreign": b"PK" * 900, "longer": whole + b"0"}
        place.write_bytes(broken[damage])
    assert same(known_tokenizer(text, (), tmp_path)[1], expected)
    assert same(known_tokenizer(text, (), tmp_path)[1], expected)
    assert len(reads) == (3 if damage == "a folder" else 2)
    assert [path.name for path in tmp_path.iterdir()] == [place.name]


@pytest.mark.parametrize("lie", ["text_ends", "entry_ids", "merges", "token_ends", "candidate_ids", "control_ids"])
def test_numbers_out_of_range_are_refused(lie: str):
    file, words = read_tokenizer(TOKENIZERS["byte-level"])
    arrays = dict(tokenizer_cache._packed(file, merge_pairs(file), words))
    arrays[lie] = arrays[lie].copy()
    if not arrays[lie].size:
        arrays[lie] = arrays["candidate_ids"][:1].copy()
    arrays[lie].reshape(-1)[-1] = 1 << 30
    with pytest.raises(ValueError, match=r"range|fill"):
        tokenizer_cache._unpacked(arrays)


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path: Path, reads: list[str]):
    (tmp_path / "file").write_text("no folder")
    text = TOKENIZERS["byte-level"]
    for _ in range(2):
        assert same(known_tokenizer(text, (), tmp_path / "file" / "cache")[1], load_vocabulary(text))
    assert len(reads) == 2


def test_a_full_disk_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    known_tokenizer(TOKENIZERS["byte-level"], (), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_some_files_are_kept(tmp_path: Path):
    text = TOKENIZERS["byte-level"]
    for extra in range(MOST_FILES + 3):
        known_tokenizer(text + " " * extra, (), tmp_path)
    assert len(list(tmp_path.iterdir())) == MOST_FILES


def test_short_files_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokenizer_cache, "LEAST_CHARACTERS", 1 << 20)
    known_tokenizer(TOKENIZERS["byte-level"], (), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_malformed_merges_are_refused_as_without_a_cache(tmp_path: Path):
    raw = json.loads(TOKENIZERS["byte-level"])
    raw["model"] |= {"ignore_merges": True, "merges": [["a"]]}
    with pytest.raises(ModelFolderError, match="malformed merges"):
        known_tokenizer(json.dumps(raw), (), tmp_path)
    assert list(tmp_path.iterdir()) == []
