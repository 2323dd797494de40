"""Samples packed into windows of exactly the context length, so that no step computes on padding.

An epoch's windows are a pure function of (documents, tokenizer, seed, epoch): a resumed run makes the same ones again,
and the data position of a checkpoint is just (epoch, window index).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from onnx_export.train.corpus import Document
from onnx_export.train.renaming import Renamer
from onnx_export.train.samples import FIM_RATE, SPM_SHARE, Sample, epoch_samples
from onnx_export.train.tokenizer import control_ids

POOL_SAMPLES = 64
ENCODE_BATCH = 1_024


@dataclass(frozen=True)
class EncodedSample:
    """Token ids of a sample; see Sample.cuttable."""

    ids: tuple[int, ...]
    cuttable: bool


def epoch_windows(
    documents: Sequence[Document],
    tokenizer: Tokenizer,
    *,
    window: int,
    seed: int,
    epoch: int,
    fim_rate: float = FIM_RATE,
    renamer: Renamer | None = None,
    spm_share: float = SPM_SHARE,
) -> NDArray[np.int32]:
    """Windows [N, window + 1] int32 of one epoch in training order: inputs are [:, :-1], targets are [:, 1:]."""
    rng = np.random.default_rng([seed, epoch])
    samples = epoch_samples(documents, control_ids(tokenizer), rng, fim_rate, renamer, spm_share)
    rows = [np.array(row, dtype=np.int32) for row in pack(encode_samples(samples, tokenizer), window + 1)]
    windows = np.concatenate(rows).reshape(len(rows), window + 1) if rows else np.zeros((0, window + 1), np.int32)
    return windows[rng.permutation(len(windows))]


def encode_samples(samples: Iterable[Sample], tokenizer: Tokenizer) -> Iterator[EncodedSample]:
    """Encode the text parts of many samples at once; control ids stay as they are."""
    source = iter(samples)
    while block := list(islice(source, ENCODE_BATCH)):
        texts = [part for sample in block for part in sample.parts if isinstance(part, str)]
        encoded = iter(tokenizer.encode_batch_fast(texts, add_special_tokens=False))
        for sample in block:
            ids: list[int] = []
            for part in sample.parts:
                if isinstance(part, str):
                    ids.extend(next(encoded).ids)
                else:
                    ids.append(part)
            yield EncodedSample(tuple(ids), sample.cuttable)


def pack(samples: Iterable[EncodedSample], length: int) -> Iterator[list[int]]:
    """Rows of exactly `length` ids. Each takes the largest waiting samples that fit, then the start of a cuttable one.

    A fill-in-the-middle sample is never cut, because its middle would be lost. A last row that cannot be filled is
    dropped.
    """
    source = (sample for sample in samples if sample.cuttable or len(sample.ids) <= length)
    waiting = list(islice(source, POOL_SAMPLES))
    row: list[int] = []
    while waiting:
        room = length - len(row)
        fitting = [index for index, sample in enumerate(waiting) if len(sample.ids) <= room]
        if fitting and (row or len(waiting) < POOL_SAMPLES):
            index = max(fitting, key=lambda candidate: len(waiting[candidate].ids))
        elif fitting:
            index = fitting[0]  # a row starts with the oldest sample, so none waits without end
        else:
            cuttable = [index for index, sample in enumerate(waiting) if sample.cuttable]
            if not cuttable:
                return
            index = cuttable[0]
        row.extend(waiting.pop(index).ids[:room])
        waiting.extend(islice(source, 1))
        if len(row) == length:
            yield row
            row = []
