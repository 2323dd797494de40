"""How far each healing mode is from the truth, on models small enough to enumerate every continuation.

    python -m benchmarks.exactness [--plot docs/healing.svg]

The truth is the model's own distribution over the text after the cursor, conditioned on the typed text, by brute force
over all token sequences. Each mode's distribution is enumerated in the same way from its first step. The distributions
of the next bytes are compared.
"""

import random
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean

import numpy as np
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as LibraryTokenizer

from benchmarks.arguments import parser_for
from engine.config import HealingParams
from engine.healing.first_step import heal
from engine.healing.prefix_index import SortedIndex
from engine.prompt.fim import Prompt
from engine.runtime.checkpoint import Checkpoint
from engine.runtime.token_cache import TokenCache
from engine.text.tokenizer import Tokenizer
from engine.types import CancellationToken, FloatArray, TokenIds
from tests.fakes import FakeSession, LogitsOf
from tests.reference.covers import conditional_distribution, total_variation

MODES = {
    "off": HealingParams(mode="off"),
    "one token": HealingParams(mode="k-step", k_max=1, tau=1),
    "k-step 3": HealingParams(mode="k-step", k_max=3),
    "exact": HealingParams(mode="exact"),
}
AHEAD_BYTES = 3
EXAMPLE = "import num"
LINES = (
    "import numpy as np", "import numpy as np", "import number", "import numbers", "from numpy import array",
    "return number", "return num", "return nums", "number = num", "nums = numpy.array(number)", "num = number",
    "for num in nums", "for number in numbers", "import nullable", "return null", "names = numbers",
)  # fmt: skip


def code_tokenizer(size: int, seed: int = 0, *, superwords: bool = True) -> Tokenizer:
    """A byte-level BPE vocabulary of ``LINES``, repeated in a random order that varies the merges."""
    library = LibraryTokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(r"\n|[^\n]+" if superwords else r"\n| ?\w+| ?[^\w\s]+"), "isolated")
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    library.decoder = decoders.ByteLevel()
    lines = random.Random(seed).choices(LINES, k=60)
    trainer = trainers.BpeTrainer(
        vocab_size=256 + size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    library.train_from_iterator(lines, trainer)
    return Tokenizer(library.to_str())


def count_model(tokenizer: Tokenizer) -> LogitsOf:
    """A smoothed trigram model of the canonical encodings of ``LINES``. Other encodings are unlikely."""
    counts: dict[TokenIds, Counter[int]] = defaultdict(Counter)
    for line in LINES:
        ids = (0, *tokenizer.encode(line), *tokenizer.encode("\n"))
        for at in range(1, len(ids)):
            for order in range(3):
                counts[ids[max(0, at - order) : at]][ids[at]] += 1
    alphabet = sorted({i for line in LINES for i in tokenizer.encode(line)} | set(range(1, 257)))
    used = {byte for line in LINES for byte in line.encode()}
    base = np.zeros(tokenizer.vocabulary.size)
    for token in alphabet:
        if set(tokenizer.vocabulary.token_bytes[token]) <= used:
            base[token] = 1e-4

    def logits_of(history: TokenIds) -> FloatArray:
        probabilities = base.copy()
        for order in range(3):
            seen = counts.get(history[len(history) - order :] if order else ())
            if seen:
                step = np.zeros_like(base)
                step[list(seen)] = list(seen.values())
                probabilities = 0.1 * probabilities + 0.9 * step / step.sum()
        with np.errstate(divide="ignore"):
            logits: FloatArray = np.log(probabilities)
        return logits

    return logits_of


def next_bytes_distribution(
    starts: dict[TokenIds, float], typed: int, tokenizer: Tokenizer, model: LogitsOf
) -> dict[bytes, float]:
    """The distribution of the ``AHEAD_BYTES`` bytes after the typed ones, decoding on from each start."""
    distribution: dict[bytes, float] = defaultdict(float)
    token_bytes = tokenizer.vocabulary.token_bytes

    def go(sequence: TokenIds, mass: float) -> None:
        text = tokenizer.vocabulary.bytes_of(sequence)[typed:]
        if len(text) >= AHEAD_BYTES or text.endswith(b"\n"):
            distribution[text[:AHEAD_BYTES]] += mass
            return
        row = model((0, *sequence))
        probabilities = np.exp(row - np.logaddexp.reduce(row))
        for token in np.flatnonzero(probabilities * mass > 1e-7).tolist():
            if token_bytes[token]:
                go((*sequence, token), mass * float(probabilities[token]))

    for sequence, mass in starts.items():
        go(sequence, mass)
    return dict(distribution)


def mode_distribution(params: HealingParams, typed: str, tokenizer: Tokenizer, model: LogitsOf) -> dict[bytes, float]:
    """What a mode samples: all outcomes of its first step, then ordinary decoding."""
    tail = tokenizer.encode(typed)
    prompt = Prompt(np.array((0, *tail), np.int32), tail, "plain")
    index, cache = SortedIndex(tokenizer.vocabulary), TokenCache(FakeSession(model))
    healed = heal(prompt, cache, tokenizer, index, params, Checkpoint(CancellationToken()), best_only=False)
    covers = [healed.first.cover(i) for i in range(len(healed.first.ids))]
    valid = [c for c in covers if np.exp(c.logprob) > 1e-9 and healed.is_valid(c)]
    total = sum(np.exp(c.logprob) for c in valid)
    starts: dict[TokenIds, float] = defaultdict(float)
    for cover in valid:
        starts[*tail[: cover.kept - 1], *cover.extra, cover.token] += float(np.exp(cover.logprob) / total)
    return next_bytes_distribution(starts, len(typed.encode()), tokenizer, model)


def distributions(typed: str, tokenizer: Tokenizer) -> dict[str, dict[bytes, float]]:
    """The distribution of the next bytes under each mode, and the truth."""
    model = count_model(tokenizer)
    truth = conditional_distribution(typed.encode(), (0,), model, tokenizer)
    result = {"truth": next_bytes_distribution(truth, len(typed.encode()), tokenizer, model)}
    return result | {name: mode_distribution(params, typed, tokenizer, model) for name, params in MODES.items()}


def main() -> None:
    """Print the total variation of each mode over many vocabularies and cuts; draw one example."""
    parser = parser_for(__doc__)
    parser.add_argument("--plot", type=Path, metavar="SVG")
    parser.add_argument("--vocabularies", type=int, default=12)
    args = parser.parse_args()
    distances: dict[str, list[float]] = defaultdict(list)
    for seed in range(args.vocabularies):
        tokenizer = code_tokenizer(20 + 5 * seed, seed, superwords=seed % 2 == 0)
        for typed in ("import nu", "return num", "nu", "for number i", "fro"):
            found = distributions(typed, tokenizer)
            for name in MODES:
                distances[name].append(total_variation(found["truth"], found[name]))
    print(f"total variation from the truth, {AHEAD_BYTES} bytes ahead, {len(distances['exact'])} vocabularies and cuts")
    for name, values in distances.items():
        print(f"  {name:<10} mean {mean(values):.6f}   largest {max(values):.6f}")
    if args.plot:
        args.plot.write_text(_svg(EXAMPLE, distributions(EXAMPLE, code_tokenizer(60))), encoding="utf-8")


def _svg(typed: str, found: dict[str, dict[bytes, float]]) -> str:
    """Bars: for each continuation that matters, its probability under the truth and each mode."""
    texts = sorted(
        {t for distribution in found.values() for t in distribution},
        key=lambda t: -max(distribution.get(t, 0) for distribution in found.values()),
    )
    colors = dict(zip(found, ("#333", "#c44", "#e90", "#59b", "#2a6"), strict=True))
    height = 14 * len(found) + 14
    parts = [f'<text x="8" y="20" font-weight="bold">after “{typed}”: the next {AHEAD_BYTES} characters</text>']
    parts += [
        f'<rect x="{8 + 110 * i}" y="30" width="12" height="12" fill="{color}"/>'
        f'<text x="{24 + 110 * i}" y="40">{name}</text>'
        for i, (name, color) in enumerate(colors.items())
    ]
    top = 60
    for text in texts[:7]:
        shown = text.decode(errors="replace").replace("\n", "⏎").replace(" ", "␣")
        parts.append(f'<text x="50" y="{top + height / 2 - 6}" text-anchor="end">{shown}</text>')
        for row, (name, distribution) in enumerate(found.items()):
            value, y = distribution.get(text, 0.0), top + 14 * row
            parts.append(f'<rect x="60" y="{y}" width="{460 * value:.1f}" height="11" fill="{colors[name]}"/>')
            parts.append(f'<text x="{66 + 460 * value:.1f}" y="{y + 9}" font-size="9">{value:.3f}</text>')
        top += height
    style = 'font-family="sans-serif" font-size="12"'
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="600" height="{top}" {style}>\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    main()
