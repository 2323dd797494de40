"""`python -m benchmarks.gpu`: every figure that needs an NVIDIA GPU, in one command; without one it says so and ends.

Random checkpoints of Qwen2's shape (0.5 B and 1.5 B parameters) in float16: time to the first healed token after 1,000
tokens of context, prefill and decode tokens a second, with the decode step as a CUDA graph and without, beside
transformers on the same GPU and beside the limit that memory bandwidth sets (bytes of weights read for each token).
Then healing candidates scored by gathering their rows of the head beside the full head. Needs the environment of `make
test-export` with a CUDA build of torch.

--rehearse runs the same on the CPU with a tiny model. Its figures mean nothing, but mistakes in this module show.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.generators import Rates, Run, measure, midtoken, random_checkpoint, torch_eager
from benchmarks.tables import Ratio, Report, Table, as_text, interleave, machine, median, median_ratio
from engine import BUNDLED_MODEL, Completer, CompletionRequest, DeviceChoice, StopParams
from engine.runtime.graph import choose_device, open_graph
from engine.text.tokenizer import Tokenizer

BANDWIDTH_BYTES = 4.3e12
"""Bytes a second that an H200 reads; --bandwidth gives the value of another card."""
CONTEXT_TOKENS = 1000
DECODED_TOKENS = 64
ROWS = 151_936
Shape = tuple[int, int, int, int, int]
# Width, layers, heads, key/value heads, inner width, as Qwen2.5-Coder has them.
SHAPES: Mapping[str, Shape] = {
    "0.5 B": (896, 24, 14, 2, 4864),
    "1.5 B": (1536, 28, 12, 2, 8960),
}
TINY: Shape = (64, 2, 4, 2, 96)
VOCABULARIES = (50_000, 100_000, 200_000)
CANDIDATES = (16, 256, 4096)


def parameters(shape: Shape, rows: int = ROWS) -> int:
    """Parameters of a Qwen2 with a tied embedding: products, their biases in attention, norms."""
    width, layers, heads, groups, inner = shape
    size = width // heads
    attention = width * (heads + 2 * groups) * size + (heads + 2 * groups) * size + width * width
    return rows * width + layers * (attention + 3 * width * inner + 2 * width) + width


def limit_tokens_per_second(shape: Shape, bandwidth: float) -> float:
    """Decode steps a second if the only work were to read the float16 weights once for each token."""
    return bandwidth / (2 * parameters(shape))


def head_rows(width: int, rows: int, candidates: int, rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of one row of logits by the full head, and by gathering the candidates' rows of it, interleaved.

    The two are graphs of onnxruntime over the same random float32 table on the CPU, float16 on ``cuda``; the result of
    the full head is cut to the candidates, as healing does.
    """
    dtype = np.dtype(np.float16 if device == "cuda" else np.float32)
    rng = np.random.default_rng(0)
    table = rng.standard_normal((rows, width), np.float32).astype(dtype)
    feeds = {
        "hidden": rng.standard_normal((1, width), np.float32).astype(dtype),
        "candidates": np.sort(rng.choice(rows, candidates, replace=False)).astype(np.int64),
    }
    runs = {name: _head(table, device, gathered=name == "gathered") for name in ("full", "gathered")}
    for run in runs.values():
        run(feeds)

    def timed(run: Callable[[Mapping[str, np.ndarray]], None]) -> Callable[[], float]:
        def measure() -> float:
            began = time.perf_counter()
            run(feeds)
            return time.perf_counter() - began

        return measure

    return interleave({name: timed(run) for name, run in runs.items()}, rounds)


def head_report(device: str, widths: tuple[int, ...], rounds: int) -> Report:
    """The table of `head_rows` over vocabularies and numbers of candidates."""
    rows, ratios = [], []
    for width in widths:
        for vocabulary in VOCABULARIES:
            for count in CANDIDATES:
                found = head_rows(width, vocabulary, count, rounds, device)
                full, gathered = median(found["full"]) * 1e3, median(found["gathered"]) * 1e3
                rows.append((f"{vocabulary:,} rows of {width}, {count} candidates", full, gathered))
                ratios.append(Ratio(f"gathered / full, {vocabulary:,} rows of {width}, {count}", gathered / full))
    table = Table("one row of logits", ("head", "full ms", "gathered ms"), tuple(rows))
    return Report("head rows", {**machine(), "device": device}, (table,), tuple(ratios))


def _head(table: np.ndarray, device: str, *, gathered: bool) -> Callable[[Mapping[str, np.ndarray]], None]:
    """A graph ``hidden [1, W], candidates [C] -> logits [1, C]`` over ``table [V, W]``."""
    from onnx import helper, numpy_helper

    from engine.runtime.ort import ort

    kind = helper.np_dtype_to_tensor_dtype(table.dtype)
    stored = table if gathered else np.ascontiguousarray(table.T)
    if gathered:
        nodes = [
            helper.make_node("Gather", ["table", "candidates"], ["rows"], axis=0),
            helper.make_node("Gemm", ["hidden", "rows"], ["logits"], transB=1),
        ]
    else:
        nodes = [
            helper.make_node("MatMul", ["hidden", "table"], ["all"]),
            helper.make_node("Gather", ["all", "candidates"], ["logits"], axis=1),
        ]
    inputs = [("hidden", kind, [1, table.shape[1]]), ("candidates", 7, ["C"])]
    graph = helper.make_graph(
        nodes,
        "head",
        [helper.make_tensor_value_info(*declared) for declared in inputs],
        [helper.make_tensor_value_info("logits", kind, [1, "C"])],
        [numpy_helper.from_array(stored, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    providers = ["CUDAExecutionProvider"] if device == "cuda" else []
    session = ort.InferenceSession(model.SerializeToString(), providers=[*providers, "CPUExecutionProvider"])
    return lambda feeds: session.run(["logits"], dict(feeds)) and None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the models run: Midtoken's devices by the name of the row, and torch's device."""

    midtoken: Mapping[str, DeviceChoice]
    torch: str
    rows: int = ROWS


GPU = Place({"midtoken": "cuda", "midtoken, CUDA graph": "cuda-graph"}, "cuda")
REHEARSAL = Place({"midtoken": "cpu", "midtoken, CUDA graph": "cpu"}, "cpu", rows=16_384)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; returns the exit status: 0 (even without a GPU), or 1 if the GPU cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--bandwidth", type=float, default=BANDWIDTH_BYTES, metavar="BYTES", help="bytes a second")
    parser.add_argument("--rehearse", action="store_true", help="run everything on the CPU with a tiny model")
    parser.add_argument(
        "--head-on-cpu", action="store_true", help="measure gathering rows of the head on the CPU, and nothing else"
    )
    options = parser.parse_args(arguments)
    if options.head_on_cpu:
        print(as_text(head_report("cpu", (896,), options.rounds)))
        return 0
    if options.rehearse:
        print(as_text(model_report("tiny", TINY, options.rounds, options.bandwidth, REHEARSAL)))
        print(as_text(head_report("cpu", (TINY[0],), options.rounds)))
        return 0
    chosen = choose_device("cuda")
    if chosen.kind != "cuda":
        print(f"no figures: {chosen.notice.removeprefix('CUDA was asked for but ').partition(';')[0]}")
        return 0
    if obstacle := obstacle_on_a_gpu():
        print(f"no figures: {obstacle}", file=sys.stderr)
        return 1
    for name, shape in SHAPES.items():
        print(as_text(model_report(name, shape, options.rounds, options.bandwidth, GPU)), flush=True)
    print(as_text(head_report("cuda", (896, 1536), options.rounds)))
    return 0


def obstacle_on_a_gpu() -> str:
    """Why this environment cannot measure the GPU; empty if it can."""
    opened = open_graph(BUNDLED_MODEL / "model.onnx", "cuda").device
    if opened.kind != "cuda":
        return opened.notice.partition(";")[0]
    try:
        import torch
    except ImportError:
        return "torch is missing; 'make test-export TORCH=torch' installs it"
    if not torch.cuda.is_available():
        command = "rm -r .venvs/export && make test-export TORCH=torch"
        return f"torch {torch.__version__} cannot use the GPU; '{command}' installs a build for CUDA"
    return ""


def model_report(name: str, shape: Shape, rounds: int, bandwidth: float, place: Place) -> Report:
    """Figures of one random checkpoint in float16."""
    from onnx_export.export import export_checkpoint

    with tempfile.TemporaryDirectory() as root:
        checkpoint = random_checkpoint(Path(root) / "checkpoint", "Qwen2", shape, place.rows, half=True)
        folder = Path(root) / "model"
        export_checkpoint(checkpoint, folder, precision="fp16", device="cuda", check=False)
        peer = torch_eager(checkpoint, device=place.torch)
        runs: dict[str, Run] = {row: midtoken(folder, device=choice) for row, choice in place.midtoken.items()}
        prompt = np.random.default_rng(0).integers(5, 16_000, CONTEXT_TOKENS).tolist()
        rates = measure({**runs, "transformers": peer}, prompt, DECODED_TOKENS, rounds)
        first, notices = first_tokens(folder, peer, rounds, place)
    limit = limit_tokens_per_second(shape, bandwidth)
    conditions = {**machine(), "limit, tokens/s": round(limit)}
    return Report(f"gpu, {name}", conditions, _tables(name, rates, first), _ratios(rates, first, limit), notices)


def first_tokens(folder: Path, peer: Run, rounds: int, place: Place) -> tuple[dict[str, list[float]], tuple[str, ...]]:
    """Seconds from a text of `CONTEXT_TOKENS` that ends inside a word to the first token: healed, and with transformers
    from the same tokens without healing. Each text is different, so that nothing of it is in a cache. Also returns
    Midtoken's notices about the devices.
    """
    completers = {row: Completer.load(folder, device=choice) for row, choice in place.midtoken.items()}
    tokenizer = next(iter(completers.values())).tokenizer
    texts = _texts(tokenizer)

    def healed(completer: Completer) -> Callable[[], float]:
        def seconds() -> float:
            request = CompletionRequest(next(texts), stop=StopParams(max_new_tokens=1))
            began = time.perf_counter()
            completer.complete(request)
            return time.perf_counter() - began

        return seconds

    def unhealed() -> float:
        text = next(texts)
        began = time.perf_counter()
        peer(tokenizer.encode(text), 0)
        return time.perf_counter() - began

    variants = {**{row: healed(completer) for row, completer in completers.items()}, "transformers": unhealed}
    for run in variants.values():
        run()
    notices = dict.fromkeys(notice for completer in completers.values() for notice in completer.notices)
    return interleave(variants, rounds), tuple(notices)


def _texts(tokenizer: Tokenizer) -> Iterator[str]:
    for number in itertools.count():
        text, line = f"number = {number}\n", 0
        while len(tokenizer.encode(text)) < CONTEXT_TOKENS:
            text += "".join(f"value_{number}_{line + n} = compute({n})\n" for n in range(20))
            line += 20
        yield text + "import nump"


def _tables(name: str, rates: Mapping[str, Rates], first: Mapping[str, list[float]]) -> tuple[Table]:
    columns = ("generator", "prefill tokens/s", "decode tokens/s", f"first token after {CONTEXT_TOKENS}, ms")
    rows = tuple(
        (row, median(found.prefill.tolist()), median(found.decode.tolist()), median(first[row]) * 1e3)
        for row, found in rates.items()
    )
    return (Table(f"Qwen2 shape, {name}, float16; a context of {CONTEXT_TOKENS} tokens", columns, rows),)


def _ratios(rates: Mapping[str, Rates], first: Mapping[str, list[float]], limit: float) -> tuple[Ratio, ...]:
    peer, found = rates["transformers"], []
    for row in rates.keys() - {"transformers"}:
        decode = rates[row].decode.tolist()
        found += [
            Ratio(f"{row} / transformers, decode (goal: at least 2)", median_ratio(decode, peer.decode.tolist())),
            Ratio(f"{row} / limit, decode (goal at 1.5 B: at least 0.5)", median(decode) / limit),
            Ratio(f"{row} / transformers, time to the first token", median_ratio(first[row], first["transformers"])),
        ]
    return tuple(sorted(found, key=lambda ratio: ratio.name))


if __name__ == "__main__":
    sys.exit(main())
