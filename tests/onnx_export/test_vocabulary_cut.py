"""A reduced vocabulary writes the text of its entries as the whole one does; its model has the same logits for them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Completer, CompletionRequest, ExportError, StopParams
from engine.loading import load_tokenizer
from engine.model_folder.fim_spellings import fim_templates
from engine.model_folder.manifest import ControlIds, RepositoryTokens, load_manifest
from engine.runtime.session import OrtSession
from engine.text.tokenizer import Tokenizer
from lsp_server.cli import main
from onnx_export.convert import convert
from onnx_export.entry_counts import Cut
from onnx_export.gguf.header import read_header
from onnx_export.gguf.model import read_model
from onnx_export.gguf.tokenizer import TokenizerOfFile, read_tokenizer
from onnx_export.graph_writer.weights import Blocks
from onnx_export.vocabulary_cut import CutRows, cut_tokenizer, kept_entries
from tests.onnx_export.gguf.files import write_model
from tests.toy import TOYS, byte_level, trained_toy

CODE = "import numpy as np\n\n\ndef https(self, name):\n    return self.port[12]\r\n"
TEXTS = st.lists(
    st.sampled_from([*"abelmnorstuy_.:/123 \t\n", "import", " self", "return ", "    ", "é", "中", "😀", "https://"]),
    max_size=30,
).map("".join)
NAMES = (*TOYS, "trained", "trained superwords")


def made(name: str) -> TokenizerOfFile:
    """What a GGUF file with the toy tokenizer gives."""
    if name.startswith("trained"):
        own = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("test_[cp]*.py"))]
        text = trained_toy(own, 900, superwords=name.endswith("superwords"))
    else:
        text = TOYS[name]()
    added = {token["content"]: token["id"] for token in json.loads(text)["added_tokens"]}
    end = added["<|endoftext|>"]
    entries = max([*json.loads(text)["model"]["vocab"].values(), *added.values()]) + 1
    return TokenizerOfFile(text, entries, ControlIds(None, (end,), end), fim_templates(added), RepositoryTokens(end))


WHOLE = {name: made(name) for name in NAMES}


def scores_of(tokenizer: TokenizerOfFile, ids: Sequence[int]) -> Any:
    return np.bincount(ids, minlength=tokenizer.entries).astype(np.float64)


@pytest.mark.parametrize("name", NAMES)
@given(text=TEXTS, other=TEXTS)
@settings(deadline=None, max_examples=25)
def test_a_text_of_kept_entries_is_written_with_the_same_ones(name: str, text: str, other: str) -> None:
    whole = Tokenizer(WHOLE[name].text)
    kept = kept_entries(WHOLE[name], scores_of(WHOLE[name], whole.encode(text)), WHOLE[name].entries)
    cut = Tokenizer(cut_tokenizer(WHOLE[name], kept).text)
    for sample in (text, other):
        ids = list(whole.encode(sample))
        if sample is text or set(ids) <= set(kept.tolist()):
            assert [int(kept[token]) for token in cut.encode(sample)] == ids


@pytest.mark.parametrize("name", NAMES)
@given(text=TEXTS, draw=st.integers(0, 1000), share=st.floats(0, 1))
@settings(deadline=None, max_examples=25)
def test_every_text_comes_back(name: str, text: str, draw: int, share: float) -> None:
    whole = WHOLE[name]
    scores = np.random.default_rng(draw).random(whole.entries)
    fewest = len(kept_entries(whole, np.zeros(whole.entries), whole.entries))
    most = fewest + round(share * (whole.entries - fewest))
    kept = kept_entries(whole, scores, most)
    assert len(kept) <= most
    cut, before = Tokenizer(cut_tokenizer(whole, kept).text), Tokenizer(whole.text)
    assert cut.vocabulary.bytes_of(cut.encode(text)) == before.vocabulary.bytes_of(before.encode(text))


def test_what_an_entry_is_built_of_stays_with_it() -> None:
    whole = WHOLE["byte-level"]
    vocabulary = json.loads(whole.text)["model"]["vocab"]
    scores = np.zeros(whole.entries)
    scores[vocabulary["import"]] = 1.0
    kept = kept_entries(whole, scores, whole.entries)
    added = {spelling for spelling, token in vocabulary.items() if token in kept and token >= 256}
    assert added == {"im", "po", "rt", "port", "import"}
    # With one place less the word does not fit, and nothing of it is left.
    assert len(kept_entries(whole, scores, len(kept) - 1)) == len(kept) - 5


def test_roles_are_numbered_anew() -> None:
    whole = WHOLE["byte-level"]
    kept = kept_entries(whole, np.zeros(whole.entries), whole.entries)
    cut = cut_tokenizer(whole, kept)
    assert cut.entries == 256 + 4
    assert (cut.control, cut.repository) == (ControlIds(None, (256,), 256), RepositoryTokens(256))
    assert cut.fim is not None
    assert cut.fim.control_ids == {257, 258, 259}
    assert [token["id"] for token in json.loads(cut.text)["added_tokens"]] == [256, 257, 258, 259]


def test_too_few_entries_are_told() -> None:
    with pytest.raises(ExportError, match="100 entries are too few: bytes and control tokens alone are 260"):
        kept_entries(WHOLE["byte-level"], np.zeros(WHOLE["byte-level"].entries), 100)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ["Q4_1", "Q8_0", "Q5_0", "F16"])
def test_rows_are_taken_as_they_are(tmp_path: Path, kind: str, tied: bool) -> None:
    write_model(tmp_path / "m.gguf", types=(kind,), tied=tied)
    model = read_model(read_header(tmp_path / "m.gguf"))
    kept = kept_entries(read_tokenizer(model.file), np.arange(300.0), 290)
    cut = CutRows(model, kept)
    for name in ("token_embd.weight", "output.weight", "blk.0.ffn_up.weight"):
        if model.shape(name) is None:
            assert cut.shape(name) is None
            continue
        matrix = model.matrix(name)
        rows = kept if name in ("token_embd.weight", "output.weight") else np.arange(matrix.rows)
        assert cut.shape(name) == (len(rows), matrix.columns)
        whole, part = matrix.read(0, matrix.rows), cut.matrix(name).read(3, len(rows))
        if isinstance(whole, Blocks):
            assert isinstance(part, Blocks)
            np.testing.assert_array_equal(part.values, whole.values[rows[3:]])
            np.testing.assert_array_equal(part.scales, whole.scales[rows[3:]])
        else:
            np.testing.assert_array_equal(part, whole[rows[3:]])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ["Q4_1", "Q8_0", "F16"])
def test_logits_of_kept_entries_are_those_of_the_whole_model(tmp_path: Path, kind: str, tied: bool) -> None:
    write_model(tmp_path / "m.gguf", types=(kind,), tied=tied)
    (tmp_path / "code").mkdir()
    for number in range(3):
        (tmp_path / "code" / f"{number}.py").write_bytes(CODE.encode())
    convert(tmp_path / "m.gguf", tmp_path / "whole")
    convert(tmp_path / "m.gguf", tmp_path / "cut", cut=Cut((tmp_path / "code",), 1000))
    folders = [(tmp_path / name, load_manifest(tmp_path / name)) for name in ("whole", "cut")]
    tokenizers = [load_tokenizer(folder, manifest) for folder, manifest in folders]
    ids = [np.array(tokenizer.encode(CODE), np.int32) for tokenizer in tokenizers]
    sizes = folders[1][1].vocabulary
    assert (sizes.tokenizer, sizes.embedding, sizes.head) == (len(tokenizers[1].vocabulary.token_bytes),) * 3
    assert sizes.head < folders[0][1].vocabulary.head
    spelled = {data: token for token, data in enumerate(tokenizers[0].vocabulary.token_bytes) if data}
    kept = [spelled[data] if data else None for data in tokenizers[1].vocabulary.token_bytes]
    assert ids[0].tolist() == [kept[token] for token in ids[1]]
    whole, cut = (
        OrtSession.load(folder, manifest, device="cpu").forward(own, 0, range(len(own)))
        for (folder, manifest), own in zip(folders, ids, strict=True)
    )
    both = [(new, old) for new, old in enumerate(kept) if old is not None]
    np.testing.assert_allclose(cut[:, [new for new, _ in both]], whole[:, [old for _, old in both]], atol=1e-4)


def test_the_command_line_cuts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path / "m.gguf", types=("Q8_0",))
    (tmp_path / "code.py").write_text(CODE * 3, encoding="utf-8")
    source, out, code = str(tmp_path / "m.gguf"), str(tmp_path / "out"), str(tmp_path / "code.py")
    assert main(["export", source, out, "--keep-entries-of", code, "--entries", "280"]) == 0
    assert load_manifest(tmp_path / "out").vocabulary.tokenizer <= 280
    completer = Completer.load(tmp_path / "out", device="cpu")
    assert completer.complete(CompletionRequest(prefix="import num", stop=StopParams(max_new_tokens=4)))
    for options, message in (
        ([source, out, "--entries", "280"], "--entries needs --keep-entries-of PATH"),
        ([source, out, "--keep-entries-of", code, "--entries", "9"], "9 entries are too few"),
        ([source, out, "--keep-entries-of", str(tmp_path / "none")], "does not exist; name a file or a folder"),
        ([str(tmp_path), out, "--keep-entries-of", code], "are for GGUF files, not for checkpoints"),
    ):
        assert main(["export", *options]) == 1
        assert message in capsys.readouterr().err


def test_a_toy_of_the_real_kind_keeps_its_split() -> None:
    whole = WHOLE["byte-level"]
    cut = json.loads(cut_tokenizer(whole, np.arange(whole.entries)).text)
    assert cut == json.loads(byte_level())
