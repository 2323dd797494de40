import numpy as np
import pytest
from tokenizers import Tokenizer

from onnx_export.train.corpus import Corpus
from onnx_export.train.packing import EncodedSample, encode_samples, epoch_windows, pack
from onnx_export.train.samples import Sample


def sample(number: int, length: int, *, cuttable: bool = True) -> EncodedSample:
    return EncodedSample((number,) * length, cuttable)


def test_every_row_has_the_length():
    random = np.random.default_rng(0)
    samples = [sample(n, int(random.integers(1, 30)), cuttable=bool(n % 2)) for n in range(500)]
    rows = list(pack(samples, 32))
    assert rows
    assert all(len(row) == 32 for row in rows)


def test_a_sample_for_the_middle_is_never_cut():
    random = np.random.default_rng(1)
    samples = [sample(n, int(random.integers(1, 30)), cuttable=bool(n % 2)) for n in range(500)]
    lengths = {entry.ids[0]: len(entry.ids) for entry in samples}
    for row in pack(samples, 32):
        for number in set(row):
            if number % 2 == 0:
                assert row.count(number) == lengths[number]


def test_samples_longer_than_a_row_are_cut_or_dropped():
    assert list(pack([sample(1, 50)], 32)) == [[1] * 32]
    assert list(pack([sample(2, 50, cuttable=False)], 32)) == []
    assert list(pack([], 32)) == []


def test_control_ids_stay_ids_and_text_is_encoded(tokenizer: Tokenizer):
    (encoded,) = encode_samples([Sample((1, "<|fim_suffix|>", 0), cuttable=True)], tokenizer)
    assert encoded.ids[0] == 1
    assert encoded.ids[-1] == 0
    assert 2 not in encoded.ids
    assert tokenizer.decode(list(encoded.ids[1:-1])) == "<|fim_suffix|>"


def test_windows_are_a_function_of_seed_and_epoch(tokenizer: Tokenizer, corpus: Corpus):
    def windows(seed: int, epoch: int) -> np.ndarray:
        return epoch_windows(corpus.train, tokenizer, window=128, seed=seed, epoch=epoch)

    first = windows(1, 0)
    assert first.dtype == np.int32
    assert first.shape[1] == 129
    assert first.max() < tokenizer.get_vocab_size()
    np.testing.assert_array_equal(first, windows(1, 0))
    assert not np.array_equal(first[:20], windows(1, 1)[:20])
    assert not np.array_equal(first[:20], windows(2, 0)[:20])


@pytest.mark.parametrize("window", [256, 1024])
def test_windows_hold_most_of_the_text(tokenizer: Tokenizer, corpus: Corpus, window: int):
    tokens = sum(len(tokenizer.encode(document.text, add_special_tokens=False).ids) for document in corpus.train)
    assert epoch_windows(corpus.train, tokenizer, window=window, seed=0, epoch=0).size > 0.5 * tokens
