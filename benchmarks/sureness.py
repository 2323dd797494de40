"""How likely a completion is right altogether: logistic regression on what is known before it is shown.

``python -m benchmarks.fit_sureness`` fits the weights on files that the model has not seen. The server does not
use them: with what is known of a whole completion they are no better than the plain threshold, which cuts a completion
where it becomes doubtful (docs/measurements/quality.md).
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine import Completion
from lsp_server.code.words import has_word, word_before
from lsp_server.completion.prompt import Code

FloatArray: TypeAlias = NDArray[np.float32]
LOOKED_BACK_CHARACTERS = 8000
"""Text before the cursor in which the names of a completion are looked for, and half as much behind it."""
MOST_NAMES = 8
FEATURES = (
    "one",
    "logprob",
    "logprob a token",
    "logprob of prose",
    "logprob of a single word",
    "length",
    "tokens",
    "several lines",
    "typed of the word",
    "a single word",
    "in a comment",
    "in a string",
    "code after the cursor",
    "at the beginning of a line",
    "behind a dot",
    "brackets open",
    "surprise",
    "covers",
    "tokens back",
    "doubted",
    "cut",
    "whole line",
    "names known",
    "ends in a word",
)
_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Sureness:
    """Weights: ``mean``, ``scale`` and ``weights`` are ``[F] float32``, as many as there are `FEATURES`.

    Nothing is shown that is right with a probability below ``automatic``, unasked, or ``by_hand``.
    """

    mean: FloatArray
    scale: FloatArray
    weights: FloatArray
    automatic: float
    by_hand: float

    def probability(self, completion: Completion, code: Code) -> float:
        """That all of ``completion``, as it is shown, is right."""
        x = (features(completion, code) - self.mean) / self.scale
        return 1.0 / (1.0 + math.exp(-float(np.clip(x @ self.weights, -30.0, 30.0))))


def load_sureness(path: Path) -> Sureness:
    """Weights that `benchmarks.fit_sureness` wrote."""
    read = json.loads(path.read_text(encoding="utf-8"))
    mean, scale, weights = (np.array(read[name], np.float32) for name in ("mean", "scale", "weights"))
    return Sureness(mean, scale, weights, float(read["automatic"]), float(read["by_hand"]))


def features(completion: Completion, code: Code) -> FloatArray:
    """``[F] float32``, in the order of `FEATURES`, of a completion as it is shown."""
    text, inside = completion.text, code.state.inside
    line_start, rest = code.prefix[code.prefix.rfind("\n") + 1 :], code.suffix.partition("\n")[0]
    logprob, tokens = max(completion.logprob, -20.0), max(1, completion.tokens)
    is_word = text.isidentifier() or text.isalnum()
    typed = word_before(line_start)
    return np.array(
        [
            1.0,
            logprob,
            logprob / tokens,
            logprob * (inside is not None),
            logprob * is_word,
            math.log1p(len(text)),
            math.log1p(tokens),
            "\n" in text,
            min(len(typed), 8),
            is_word,
            inside is not None and inside.kind == "comment",
            code.state.in_string,
            bool(rest.strip()),
            not line_start.strip(),
            line_start[: len(line_start) - len(typed)].endswith("."),
            min(len(code.state.brackets), 6),
            min(completion.healing.surprise_bits, 30.0),
            math.log1p(completion.healing.covers),
            completion.healing.tokens_back,
            completion.stop == "doubt",
            completion.stop == "cut",
            completion.stop in ("line", "block", "end"),
            _known_share(typed, text, code),
            text[-1:].isalnum(),
        ],
        np.float32,
    )


def _known_share(typed: str, text: str, code: Code) -> float:
    """Of the names in the text, the share that stands near the cursor already; one where there are none."""
    names = list(dict.fromkeys(_NAME.findall(typed + text)))[:MOST_NAMES]
    above = code.prefix[: len(code.prefix) - len(typed)][-LOOKED_BACK_CHARACTERS:]
    below = code.suffix[: LOOKED_BACK_CHARACTERS // 2]
    known = sum(has_word(above, name) or has_word(below, name) for name in names)
    return known / len(names) if names else 1.0
