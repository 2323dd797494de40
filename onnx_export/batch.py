"""Two sequences at once through an exported graph, to check that they do not influence each other."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.model_folder.manifest import Manifest
from engine.runtime.graph import open_graph


def batched_logits(
    folder: Path, manifest: Manifest, ids: NDArray[np.int32], device: Literal["cpu", "cuda"]
) -> NDArray[np.float32]:
    """Logits ``[B, S, V]`` of ``ids`` ``[B, S]``: all tokens but the last in one pass, then a step for the last."""
    session = open_graph(folder / manifest.model_file, device).session
    layout, names = manifest.key_value, manifest.graph
    batch, count = ids.shape
    shape = (batch, layout.heads, count, layout.head_size)
    layers = range(layout.layers)
    past = [name.format(layer) for layer in layers for name in (names.past_key, names.past_value)]
    present = [name.format(layer) for layer in layers for name in (names.present_key, names.present_value)]
    buffers = {name: np.zeros(shape, layout.dtype) for name in past}
    rows = []
    for start, end in ((0, count - 1), (count - 1, count)):
        feeds = {
            names.input_ids: ids[:, start:end].astype(np.int64),
            names.attention_mask: np.ones((batch, end), np.int64),
            str(names.logits_positions): np.arange(end - start),
        }
        logits, *written = session.run([names.logits, *present], {**feeds, **buffers})
        buffers = dict(zip(past, written, strict=True))
        rows.append(logits)
    return np.concatenate(rows, axis=1)
