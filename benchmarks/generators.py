"""`python -m benchmarks.generators CHECKPOINT`: Midtoken, onnxruntime-genai's generator and transformers side by side.

Prefill and decode tokens a second of each on the CPU, from one checkpoint, in interleaved rounds, so that a busy
machine is busy for all of them. With --random 300 (millions of parameters) in place of a checkpoint, a Llama with
random weights is made first. --work keeps the models for later calls. Needs the environment of `make test-export`.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import Ratio, Report, Table, as_text, machine, median, median_ratio
from engine import DeviceChoice
from engine.model_folder.manifest import Precision

PROMPT_TOKENS = 512
ROWS = 32_000
DECODED_TOKENS = 32
# Width, layers, heads, key/value heads, inner width by millions of parameters with 32,000 entries, tied.
SHAPES: Mapping[int, tuple[int, int, int, int, int]] = {
    60: (512, 12, 8, 4, 1536),
    120: (768, 14, 12, 4, 2304),
    300: (1024, 26, 16, 4, 2816),
}

PRECISIONS: tuple[Precision, ...] = ("fp32", "int4")

Run = Callable[[Sequence[int], int], tuple[float, float]]
"""From a prompt and a number of tokens to the seconds of the prefill and of the decode steps after it."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Tokens a second of each round, ``[R] float64``."""

    prefill: np.typing.NDArray[np.float64]
    decode: np.typing.NDArray[np.float64]


def measure(runs: Mapping[str, Run], prompt: Sequence[int], decoded: int, rounds: int) -> dict[str, Rates]:
    """Rates of every run, interleaved. The first round does not count, because libraries initialise themselves in
    it.
    """
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            taken = run(prompt, decoded)
            if number:
                seconds[name].append(taken)
    counts = np.array([len(prompt), decoded])
    rates = {name: counts / np.array(taken) for name, taken in seconds.items()}  # [R, 2]
    return {name: Rates(prefill=both[:, 0], decode=both[:, 1]) for name, both in rates.items()}


def report_of(title: str, rates: Mapping[str, Rates], ours: Mapping[str, str]) -> Report:
    """Medians, and the medians over rounds of the ratios of ``ours`` (name to peer) in the same round."""
    rows = tuple((name, median(found.prefill.tolist()), median(found.decode.tolist())) for name, found in rates.items())
    ratios = []
    for peer, name in ours.items():
        mine, theirs = rates[name], rates[peer]
        ratios.append(Ratio(f"{name} / {peer}, decode", median_ratio(mine.decode.tolist(), theirs.decode.tolist())))
        ratios.append(Ratio(f"{name} / {peer}, prefill", median_ratio(mine.prefill.tolist(), theirs.prefill.tolist())))
    table = Table(title, ("generator", "prefill tokens/s", "decode tokens/s"), rows)
    return Report("generators", machine(), (table,), tuple(ratios))


def midtoken(folder: Path, device: DeviceChoice = "cpu") -> Run:
    """The engine's session, the prompt in chunks as in the completer."""
    from engine.model_folder.manifest import load_manifest
    from engine.runtime.session import OrtSession
    from engine.runtime.token_cache import CUDA_PREFILL_CHUNK, PREFILL_CHUNK

    session = OrtSession.load(folder, load_manifest(folder), device=device)
    chunk = CUDA_PREFILL_CHUNK if session.device.kind == "cuda" else PREFILL_CHUNK

    def run(prompt: Sequence[int], decoded: int) -> tuple[float, float]:
        ids = np.array(prompt, np.int32)
        began = time.perf_counter()
        for start in range(0, len(ids), chunk):
            part = ids[start : start + chunk]
            row = session.forward(part, start, (len(part) - 1,))[0]
        filled = time.perf_counter()
        for step in range(decoded):
            row = session.forward(np.array([row.argmax()], np.int32), len(ids) + step, (0,))[0]
        return filled - began, time.perf_counter() - filled

    return run


def genai(folder: Path) -> Run:
    """onnxruntime-genai's generator on a folder of its own builder, greedy."""
    from engine.runtime.ort import TELEMETRY_OFF

    assert os.environ[TELEMETRY_OFF], "the module that sets it comes before the library"
    import onnxruntime_genai as library

    model = library.Model(str(folder))

    def run(prompt: Sequence[int], decoded: int) -> tuple[float, float]:
        params = library.GeneratorParams(model)
        length = len(prompt) + decoded + 1
        params.set_search_options(do_sample=False, min_length=length, max_length=length)
        generator = library.Generator(model, params)
        began = time.perf_counter()
        generator.append_tokens(np.array([prompt], np.int32))
        generator.generate_next_token()  # the token after the prompt, whose logits are known
        filled = time.perf_counter()
        for _ in range(decoded):
            generator.generate_next_token()
        return filled - began, time.perf_counter() - filled

    return run


def torch_eager(checkpoint: Path, device: str = "cpu") -> Run:
    """transformers with its own cache, greedy, without the overhead of `generate`; float32, on ``cuda`` float16."""
    import torch
    from transformers import AutoModelForCausalLM

    dtype = torch.float16 if device == "cuda" else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=dtype, local_files_only=True).eval().to(device)

    def run(prompt: Sequence[int], decoded: int) -> tuple[float, float]:
        with torch.inference_mode():
            began = time.perf_counter()
            out = model(input_ids=torch.tensor([list(prompt)], device=device), use_cache=True, logits_to_keep=1)
            int(out.logits[0, -1].argmax())  # waits for the device
            filled = time.perf_counter()
            for _ in range(decoded):
                token = out.logits[:, -1:].argmax(-1)
                out = model(input_ids=token, past_key_values=out.past_key_values, use_cache=True)
            int(out.logits[0, -1].argmax())
            return filled - began, time.perf_counter() - filled

    return run


def random_checkpoint(
    folder: Path, family: str, shape: tuple[int, int, int, int, int], rows: int, *, half: bool = False
) -> Path:
    """A tied checkpoint with random weights and the bundled model's tokenizer; ``rows`` beyond its entries are padding.

    ``family`` is ``Llama`` or ``Qwen2`` as transformers spells it, ``shape`` width, layers, heads, key/value heads and
    inner width; ``half`` stores float16.
    """
    import shutil

    import transformers

    from engine import BUNDLED_MODEL

    width, layers, heads, groups, inner = shape
    config = getattr(transformers, f"{family}Config")(
        vocab_size=rows,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        intermediate_size=inner,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = getattr(transformers, f"{family}ForCausalLM")(config)
    (model.half() if half else model).save_pretrained(folder)
    shutil.copyfile(BUNDLED_MODEL / "tokenizer.json", folder / "tokenizer.json")
    return folder


def models_in(root: Path, checkpoint: Path | None, millions: int | None) -> Path:
    """Make what is not in ``root`` yet: a random checkpoint if none is given, and its models of each precision.

    Returns the checkpoint.
    """
    from onnx_export.export import export_checkpoint
    from onnx_export.genai_graph import build
    from onnx_export.quantize import plan

    if checkpoint is None:
        assert millions is not None
        checkpoint = root / "checkpoint"
        if not checkpoint.exists():
            random_checkpoint(checkpoint, "Llama", SHAPES[millions], ROWS)
    for precision in PRECISIONS:
        # No checks here: tests and midtoken export check the result, and here only the time counts.
        if not (root / precision).exists():
            export_checkpoint(checkpoint, root / precision, precision=precision, check=False)
        if not (root / f"genai-{precision}").exists():
            build(checkpoint, plan(precision, "cpu"), root / f"genai-{precision}", tied=True)
    return checkpoint


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generators",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, nargs="?")
    parser.add_argument("--random", type=int, choices=sorted(SHAPES), metavar="MILLIONS", help=f"of {sorted(SHAPES)}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=Path, metavar="DIR", help="folder that keeps the models of this checkpoint")
    parser.add_argument("--prepare", action="store_true", help="make the models in --work, and measure nothing")
    options = parser.parse_args(arguments)
    if (options.checkpoint is None) == (options.random is None):
        parser.error("name a checkpoint or a size for --random")
    if options.prepare and options.work is None:
        parser.error("--prepare needs --work")
    with tempfile.TemporaryDirectory() as name:
        root = options.work or Path(name)
        checkpoint = models_in(root, options.checkpoint, options.random)
        if options.prepare:
            return 0
        runs: dict[str, Run] = {}
        for precision in PRECISIONS:
            runs[f"midtoken {precision}"] = midtoken(root / precision)
            runs[f"genai {precision}"] = genai(root / f"genai-{precision}")
        runs["transformers fp32"] = torch_eager(checkpoint)
        prompt = np.random.default_rng(0).integers(5, 16_000, PROMPT_TOKENS).tolist()
        rates = measure(runs, prompt, DECODED_TOKENS, options.rounds)
    model = f"random Llama, {options.random} M" if options.random else checkpoint.name
    ours = {"genai fp32": "midtoken fp32", "genai int4": "midtoken int4", "transformers fp32": "midtoken fp32"}
    print(as_text(report_of(f"{model}, {PROMPT_TOKENS} tokens of prompt", rates, ours)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
