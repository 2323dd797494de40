"""Draw what each truncation keeps of one row of a model's logits, as SVG.

python -m benchmarks.plot_truncation docs/truncation.svg [--model DIR] [--text TEXT]
"""

import math
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from benchmarks.arguments import parser_for
from engine import BUNDLED_MODEL
from engine.model_folder.manifest import load_manifest
from engine.runtime.session import OrtSession
from engine.runtime.token_cache import TokenCache
from engine.sampling import log_softmax
from engine.sampling.truncation import Truncation, epsilon, eta, min_p, top_k, top_n_sigma, top_p
from engine.text.tokenizer import Tokenizer
from engine.types import FloatArray

TEXT = "import os\n\n\ndef read_lines(path):\n    with open(path) as stream:\n        return"
RULES: Mapping[str, Truncation] = {
    "top-k 50": top_k(50),
    "top-p 0.95": top_p(0.95),
    "top-p 0.8": top_p(0.8),
    "min-p 0.1": min_p(0.1),
    "min-p 0.02": min_p(0.02),
    "top-n-sigma 1": top_n_sigma(1.0),
    "top-n-sigma 2": top_n_sigma(2.0),
    "epsilon 3e-4": epsilon(3e-4),
    "eta 3e-4": eta(3e-4),
}
WIDTH, LEFT, TOP, HEIGHT, BAR, RIGHT = 760, 130, 40, 220, 22, 70


def main() -> None:
    """Run the model once and write the picture."""
    parser = parser_for(__doc__, model=True)
    parser.add_argument("out", type=Path)
    parser.add_argument("--text", default=TEXT)
    args = parser.parse_args()
    row, name = _row(args.model or BUNDLED_MODEL, args.text)
    args.out.write_text(draw(row, f"{name}, after {args.text.splitlines()[-1].strip()!r}"), encoding="utf-8")


def draw(row: FloatArray, title: str) -> str:
    """The picture: probabilities by rank, both axes logarithmic; for each rule a bar over the ranks that it keeps."""
    probabilities = np.sort(np.exp(log_softmax(row).astype(np.float64)))[::-1]
    size, floor = len(probabilities), -8.0

    def x(rank: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(rank) / math.log10(size)

    def y(probability: float) -> float:
        return TOP + HEIGHT * min(1.0, math.log10(max(probability, 1e-99)) / floor)

    ranks = np.unique(np.geomspace(1, size, 300).astype(int))
    points = " ".join(f"{x(rank):.1f},{y(probabilities[rank - 1]):.1f}" for rank in ranks.tolist())
    bottom = TOP + HEIGHT
    parts = [f'<text x="{LEFT}" y="22">{escape(title)}</text>']
    for power in range(0, int(math.log10(size)) + 1):
        at = x(10**power)
        parts.append(f'<path class="grid" d="M{at:.1f} {TOP}V{bottom + 20 + BAR * len(RULES)}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 14}" text-anchor="middle">{10**power}</text>')
    for power in range(0, int(-floor) + 1, 2):
        at = y(10.0**-power)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{10.0**-power:g}</text>')
    parts.append(f'<polyline points="{points}"/>')
    for number, (name, rule) in enumerate(RULES.items()):
        kept = int(np.count_nonzero(rule(row) > -np.inf))
        mass, at = float(probabilities[:kept].sum()), bottom + 24 + BAR * number
        parts.append(f'<text x="{LEFT - 6}" y="{at + 12}" text-anchor="end">{name}</text>')
        parts.append(f'<rect x="{LEFT}" y="{at}" width="{max(3.0, x(kept) - LEFT):.1f}" height="{BAR - 7}"/>')
        parts.append(f'<text x="{max(x(kept), LEFT + 3) + 5:.1f}" y="{at + 12}">{kept} ({mass:.1%})</text>')
    height = bottom + 34 + BAR * len(RULES)
    style = (
        "text{font:12px sans-serif;fill:#444}.grid{stroke:#ddd;fill:none}"
        "polyline{fill:none;stroke:#1f6feb;stroke-width:2}rect{fill:#1f6feb;opacity:.55}"
    )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">\n'
        f'<style>{style}</style>\n<rect width="100%" height="100%" style="fill:#fff;opacity:1"/>\n{body}\n</svg>\n'
    )


def _row(folder: Path, text: str) -> tuple[FloatArray, str]:
    manifest = load_manifest(folder)
    tokenizer = Tokenizer((folder / manifest.tokenizer_file).read_text(encoding="utf-8"))
    start = () if manifest.control.begin is None else (manifest.control.begin,)
    ids = np.array((*start, *tokenizer.encode(text)), np.int32)
    session = OrtSession.load(folder, manifest, device="cpu", context_length=len(ids) + 1)
    logits, _ = TokenCache(session).prefill(ids, (len(ids) - 1,), lambda: None)
    return logits[0, : manifest.vocabulary.tokenizer], manifest.name


if __name__ == "__main__":
    main()
