import errno
import json
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from engine.errors import TrainingError
from onnx_export.train import __main__ as command
from onnx_export.train.checkpoint import CHECKPOINT_NAME, Progress, load_checkpoint, write_atomically
from onnx_export.train.corpus import Corpus
from onnx_export.train.finish import finish, load_or_train_tokenizer
from onnx_export.train.loop import TrainingSettings, done_share, rate_factor, train
from onnx_export.train.model import build_model
from onnx_export.train.tokenizer import control_ids
from tests.onnx_export.training_runs import SETTINGS, Interrupted, interrupt_at, silent

pytestmark = pytest.mark.slow


def new_model(tokenizer: Tokenizer) -> Any:
    return build_model("tiny", tokenizer.get_vocab_size(), control_ids(tokenizer), seed=3)


@pytest.mark.parametrize("low_precision", [False, True])
def test_an_interrupted_run_resumes_to_the_same_curve(
    tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus, low_precision: bool
):
    settings = replace(SETTINGS, low_precision=low_precision)
    straight_model, resumed_model = new_model(tokenizer), new_model(tokenizer)
    straight = train(settings, straight_model, tokenizer, corpus, tmp_path / "straight", silent)

    with pytest.raises(Interrupted):
        train(settings, resumed_model, tokenizer, corpus, tmp_path / "resumed", interrupt_at(5))
    resumed_model = new_model(tokenizer)
    resumed = train(settings, resumed_model, tokenizer, corpus, tmp_path / "resumed", silent)

    assert resumed.losses == straight.losses
    assert (resumed.step, resumed.epoch, resumed.window) == (straight.step, straight.epoch, straight.window)
    for name, value in straight_model.state_dict().items():
        torch.testing.assert_close(resumed_model.state_dict()[name], value, rtol=0, atol=0)


def test_the_loss_falls(tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus):
    progress = train(replace(SETTINGS, steps=40), new_model(tokenizer), tokenizer, corpus, tmp_path, silent)
    assert progress.losses[-1][1] < progress.losses[0][1] - 1.0
    assert progress.tokens == 40 * 4 * 64


def test_an_epoch_ends_and_the_next_begins(tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus):
    few = replace(corpus, train=corpus.train[:30])
    settings = replace(SETTINGS, window=256, batch_windows=2, steps=16)
    progress = train(settings, new_model(tokenizer), tokenizer, few, tmp_path, silent)
    assert progress.epoch >= 1


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus):
    model = new_model(tokenizer)
    with torch.no_grad():
        model.lm_head.weight[7] = torch.nan
    with pytest.raises(TrainingError, match=r"loss is nan at step 1: lower --rate"):
        train(SETTINGS, model, tokenizer, corpus, tmp_path, silent)
    assert load_checkpoint(tmp_path) is None


@pytest.mark.parametrize("damage", ["truncated", "empty", "no model", "not ours"])
def test_a_damaged_checkpoint_is_one_clear_line(tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus, damage: str):
    path = tmp_path / CHECKPOINT_NAME
    train(replace(SETTINGS, steps=3), new_model(tokenizer), tokenizer, corpus, tmp_path, silent)
    content = path.read_bytes()
    if damage == "no model":
        torch.save({"step": 1}, path)
    else:
        path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "not ours": b"hello\n"}[damage])
    with pytest.raises(TrainingError, match=r"is damaged .*: delete it to start again") as caught:
        train(SETTINGS, new_model(tokenizer), tokenizer, corpus, tmp_path, silent)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus):
    train(replace(SETTINGS, steps=3), new_model(tokenizer), tokenizer, corpus, tmp_path, silent)
    with pytest.raises(TrainingError, match="other settings"):
        train(replace(SETTINGS, seed=4), new_model(tokenizer), tokenizer, corpus, tmp_path, silent)


def test_a_checkpoint_of_another_corpus_is_refused(tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus):
    train(replace(SETTINGS, steps=3), new_model(tokenizer), tokenizer, corpus, tmp_path, silent)
    other = replace(corpus, train=corpus.train[1:])
    with pytest.raises(TrainingError, match="another corpus: choose another --out"):
        train(SETTINGS, new_model(tokenizer), tokenizer, other, tmp_path, silent)


def test_a_held_run_is_cooled_down_from_where_it_is_and_goes_on(tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus):
    held, cooled = tmp_path / "held", tmp_path / "cooled"
    hold = replace(SETTINGS, schedule="hold", steps=6)
    train(hold, new_model(tokenizer), tokenizer, corpus, held, silent)
    before = (held / CHECKPOINT_NAME).read_bytes()

    cool = replace(SETTINGS, schedule="cool-down", steps=4)
    with pytest.raises(Interrupted):
        train(cool, new_model(tokenizer), tokenizer, corpus, cooled, interrupt_at(9), branch_from=held)
    end = train(cool, new_model(tokenizer), tokenizer, corpus, cooled, silent, branch_from=held)
    assert (end.branch_step, end.step, len(end.losses)) == (6, 10, 10)
    assert (held / CHECKPOINT_NAME).read_bytes() == before
    assert train(replace(hold, steps=8), new_model(tokenizer), tokenizer, corpus, held, silent).step == 8


def test_nothing_to_cool_down_is_one_clear_line(tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus):
    cool = replace(SETTINGS, schedule="cool-down", steps=4)
    with pytest.raises(TrainingError, match="no checkpoint to cool down"):
        train(cool, new_model(tokenizer), tokenizer, corpus, tmp_path / "a", silent, branch_from=tmp_path / "b")


def test_too_little_text_is_one_clear_line(tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus):
    few = replace(corpus, train=corpus.train[:1])
    with pytest.raises(TrainingError, match="fewer than one batch"):
        train(replace(SETTINGS, window=1024), new_model(tokenizer), tokenizer, few, tmp_path, silent)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("old")

    def fill(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(TrainingError, match="the disk is full; make room"):
        write_atomically(path, fill)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """A limit on file size: the closest that a test can come to a full disk, because the system itself refuses to
    write.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [100, 60_000])  # either in the configuration or in the weights
def test_a_model_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus, size: int
):
    settings = asdict(TrainingSettings(size="tiny"))
    own = replace(corpus, held_out=())
    finish(tmp_path, new_model(tokenizer), tokenizer, own, Progress(step=1), settings)
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    with files_no_larger_than(size), pytest.raises(TrainingError, match=r"cannot write .*make room") as caught:
        finish(tmp_path, build_model("tiny", 640, control_ids(tokenizer), 9), tokenizer, own, Progress(), settings)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    assert not (tmp_path / "model.partial").exists()


def test_a_checkpoint_or_a_tokenizer_that_cannot_be_written_is_one_clear_line(
    tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus
):
    with files_no_larger_than(1_000):
        with pytest.raises(TrainingError, match=r"cannot write .*tokenizer\.json"):
            load_or_train_tokenizer(tmp_path, corpus, 400)
        with pytest.raises(TrainingError, match=r"cannot write .*checkpoint\.pt"):
            train(replace(SETTINGS, steps=1), new_model(tokenizer), tokenizer, corpus, tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_the_schedule():
    settings = TrainingSettings(steps=100, warmup_steps=10)
    assert rate_factor(settings, 0, 0.0) == pytest.approx(0.1)
    assert rate_factor(settings, 9, 0.0) == pytest.approx(1.0)
    assert rate_factor(settings, 99, 1.0) == pytest.approx(settings.final_rate_share)
    assert done_share(settings, Progress(step=50)) == 0.5
    held, cooled = replace(settings, schedule="hold"), replace(settings, schedule="cool-down")
    assert [rate_factor(held, step, step / 100) for step in (4, 9, 99)] == pytest.approx([0.5, 1.0, 1.0])
    assert rate_factor(cooled, 500, 0.0) == 1.0
    assert rate_factor(cooled, 550, 0.5) == pytest.approx(0.5 + settings.final_rate_share / 2)
    assert rate_factor(cooled, 600, 1.0) == pytest.approx(settings.final_rate_share)
    assert done_share(replace(cooled, steps=100), Progress(step=550, branch_step=500)) == 0.5
    timed = TrainingSettings(minutes=1.0)
    assert done_share(timed, Progress(elapsed_s=30.0)) == 0.5
    assert done_share(timed, Progress(elapsed_s=90.0)) == 1.0


def test_the_end_of_a_run_is_a_checkpoint_folder(tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus):
    model = new_model(tokenizer)
    progress = train(replace(SETTINGS, steps=3), model, tokenizer, corpus, tmp_path, silent)
    finish(tmp_path, model, tokenizer, corpus, progress, {"size": "tiny", "device": "cpu"})
    names = {file.name for file in (tmp_path / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "midtoken-source.json", "MODEL_CARD.md"} <= names
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["steps"] == 3
    assert figures["held_out_bits_per_byte"] > 0.1
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_resumed_run_keeps_its_tokenizer(tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus):
    first = load_or_train_tokenizer(tmp_path, corpus, tokenizer.get_vocab_size())
    again = load_or_train_tokenizer(tmp_path, replace(corpus, train=corpus.train[:2]), tokenizer.get_vocab_size())
    assert again.to_str() == first.to_str()
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(TrainingError, match="is damaged"):
        load_or_train_tokenizer(tmp_path, corpus, tokenizer.get_vocab_size())


def test_the_command_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert command.main(["--out", str(tmp_path), "--steps", "1"]) == 1
    assert "error: the package torch is missing" in capsys.readouterr().err


def test_the_command_without_a_corpus(tmp_path: Path, capsys):
    (tmp_path / "empty").mkdir()
    arguments = ["--out", str(tmp_path / "out"), "--corpus", str(tmp_path / "empty"), "--steps", "1"]
    assert command.main(arguments) == 1
    assert capsys.readouterr().err.startswith("error: no Python text to train on")


def test_the_command_cools_down_only_by_steps(tmp_path: Path, capsys):
    arguments = ["--out", str(tmp_path), "--cool-down", str(tmp_path / "run"), "--minutes", "1"]
    assert command.main(arguments) == 1
    assert capsys.readouterr().err == "error: a cool-down needs a number of --steps, and no --minutes\n"


def test_the_command_without_a_run_to_cool_down(tmp_path: Path, sources: Path, capsys):
    arguments = ["--out", str(tmp_path), "--cool-down", str(tmp_path / "run"), "--steps", "1"]
    assert command.main([*arguments, "--corpus", str(sources)]) == 1
    assert "is not the folder of a run: it has no tokenizer.json" in capsys.readouterr().err


def test_the_command_from_sources_to_a_model(tmp_path: Path, sources: Path, capsys):
    arguments = ["--out", str(tmp_path), "--corpus", str(sources), "--size", "tiny", "--steps", "2"]
    assert command.main([*arguments, "--vocabulary", "512"]) == 0
    assert (tmp_path / "model" / "model.safetensors").exists()
    assert "held_out_bits_per_byte" in capsys.readouterr().out
    notes = json.loads((tmp_path / "model" / "midtoken-source.json").read_text(encoding="utf-8"))
    assert max(notes["copying"]) > 0

    other = ["--out", str(tmp_path / "other"), "--start-from", str(tmp_path / "model"), "--vocabulary", "600"]
    settings = ["--corpus", str(sources), "--size", "tiny", "--steps", "2", "--schedule", "hold"]
    assert command.main([*other, *settings]) == 0
    cooled = ["--out", str(tmp_path / "cooled"), "--cool-down", str(tmp_path / "other"), *settings[:-2]]
    assert command.main(cooled) == 0
    assert json.loads((tmp_path / "cooled" / "figures.json").read_text())["steps"] == 4


def test_the_card_tells_the_sources_and_their_licences(tmp_path: Path, tokenizer: Tokenizer, corpus: Corpus):
    licences = ("MIT", "BSD-3-Clause AND MIT", "MIT")
    documents = [
        replace(document, package="some", version="1.2", licence=licence)
        for document, licence in zip(corpus.train, licences, strict=False)
    ]
    told = Corpus((replace(corpus.train[0], package="python", version="3.11", licence="PSF-2.0"), *documents), ())
    settings = asdict(TrainingSettings(size="tiny"))
    finish(tmp_path, new_model(tokenizer), tokenizer, told, Progress(step=1), settings)
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| some 1.2 | 3 | 0.0 | MIT (2), BSD-3-Clause AND MIT (1) |" in card
    notes = json.loads((tmp_path / "model" / "midtoken-source.json").read_text(encoding="utf-8"))
    assert notes["licence"] == "Apache-2.0 (weights); training text: BSD-3-Clause, MIT, PSF-2.0"
    assert notes["training_data"] == "python 3.11, some 1.2; 2 % of the files held out"
    assert notes["copying"] == [], "nothing is held out to fit it on"
