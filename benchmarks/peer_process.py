"""One completer in a process of its own, so that its memory and its time are its own: `benchmarks.peers` starts it.

    python -m benchmarks.peer_process midtoken MODEL_FOLDER
    python -m benchmarks.peer_process llama.cpp FILE.gguf

Each line on standard input is a JSON object with ``prefix`` and ``suffix``; each answer is one with the `Reply`. A line
``stop`` ends it; then it tells its peak memory and processor time.
"""

import http.client
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

MOST_TOKENS = 48
CONTEXT_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Reply:
    """One completed line, and what it took: tokens that were read and written, and the time for each, in ms."""

    text: str
    total_ms: float
    read: int = 0
    read_ms: float = 0.0
    written: int = 0
    written_ms: float = 0.0


Complete: TypeAlias = Callable[[str, str], Reply]


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer until the input ends."""
    kind, path = (sys.argv[1:] if arguments is None else arguments)[:2]
    complete = PEERS[kind](Path(path))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        if line.strip() == "stop":
            break
        asked = json.loads(line)
        print(json.dumps(asdict(complete(asked["prefix"], asked["suffix"]))), flush=True)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"peak_mb": used.ru_maxrss / 1024, "processor_s": used.ru_utime + used.ru_stime}), flush=True)
    return 0


def midtoken(folder: Path) -> Complete:
    """This engine, as the server asks it."""
    from engine import Completer, CompletionRequest, StopParams

    completer = Completer.load(folder, device="cpu", threads=_cores(), context_tokens=CONTEXT_TOKENS)
    stop = StopParams(max_new_tokens=MOST_TOKENS)

    def complete(prefix: str, suffix: str) -> Reply:
        began = time.perf_counter()
        result = completer.complete(CompletionRequest(prefix, suffix, stop=stop))
        total = (time.perf_counter() - began) * 1000
        text, tokens = (result.completions[0].text, result.completions[0].tokens) if result.completions else ("", 0)
        timing = result.timing
        read = result.prompt_tokens - result.reused_tokens
        return Reply(text, total, read, timing.prefill_ms, max(0, tokens - 1), timing.decode_ms)

    return complete


def llama_cpp(file: Path) -> Complete:
    """llama.cpp's own server, asked as its editor plugin does: the prefix cut at the cursor, prompts cached; greedy."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx, params.n_parallel, params.verbosity = CONTEXT_TOKENS, 1, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _cores()
    params.warmup = False
    server = xllamacpp.Server(params)
    host, port = server.listening_address.split("://", 1)[1].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port))

    def complete(prefix: str, suffix: str) -> Reply:
        assert server is not None  # it lives as long as this function
        line = prefix.rfind("\n") + 1
        asked = {
            "input_prefix": prefix[:line],
            "prompt": prefix[line:],
            "input_suffix": suffix,
            "n_predict": MOST_TOKENS,
            "temperature": 0.0,
            "stop": ["\n"],
            "cache_prompt": True,
        }
        began = time.perf_counter()
        connection.request("POST", "/infill", json.dumps(asked), {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        total = (time.perf_counter() - began) * 1000
        took = answer["timings"]
        return Reply(
            answer["content"], total, took["prompt_n"], took["prompt_ms"], took["predicted_n"], took["predicted_ms"]
        )

    return complete


def transformers(file: Path, *, healing: bool = False) -> Complete:
    """The same weights in float32, by ``generate``; ``healing`` switches its own token healing on."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import onnx_export  # noqa: F401 - nothing is looked up on a hub

    torch.set_num_threads(_cores())
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)

    def complete(prefix: str, suffix: str) -> Reply:
        began = time.perf_counter()
        prompt = prefix if healing else f"<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>"
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        more = {"token_healing": True, "tokenizer": tokenizer} if healing else {}
        with torch.no_grad():
            written = model.generate(ids, max_new_tokens=MOST_TOKENS, do_sample=False, **more)[0]
        if healing:  # it may have replaced the last tokens of the prompt
            text = tokenizer.decode(written, skip_special_tokens=True)[len(prefix) :]
        else:
            text = tokenizer.decode(written[ids.shape[1] :], skip_special_tokens=True)
        return Reply(text.split("\n", 1)[0], (time.perf_counter() - began) * 1000)

    return complete


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


PEERS: dict[str, Callable[[Path], Complete]] = {
    "midtoken": midtoken,
    "llama.cpp": llama_cpp,
    "transformers": transformers,
    "transformers, token_healing": lambda file: transformers(file, healing=True),
}


if __name__ == "__main__":
    sys.exit(main())
