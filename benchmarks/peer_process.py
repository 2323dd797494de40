"""One completer in a process of its own, so that its memory and time can be measured. `benchmarks.peers` starts it.

    python -m benchmarks.peer_process midtoken MODEL_FOLDER
    python -m benchmarks.peer_process llama.cpp FILE.gguf

Each line on standard input is a JSON object with ``prefix``, ``suffix`` and ``path``; each answer is one with the
`Reply`. A line ``stop`` ends it; it then prints its peak memory and processor time.
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.llama_cpp import cores, post, start

MOST_TOKENS = 48
CONTEXT_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Reply:
    """One completed line and its cost: tokens that were read and written, and the time for each, in ms. ``failed`` is
    the error if the program raised one; the text is empty then.
    """

    text: str
    total_ms: float
    read: int = 0
    read_ms: float = 0.0
    written: int = 0
    written_ms: float = 0.0
    failed: str = ""


Complete: TypeAlias = Callable[[str, str, str], Reply]
"""From prefix, suffix and path."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer until the input ends."""
    kind, path = (sys.argv[1:] if arguments is None else arguments)[:2]
    complete = PEERS[kind](Path(path))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        if line.strip() == "stop":
            break
        asked = json.loads(line)
        print(json.dumps(asdict(_reply(complete, asked["prefix"], asked["suffix"], asked["path"]))), flush=True)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"peak_mb": used.ru_maxrss / 1024, "processor_s": used.ru_utime + used.ru_stime}), flush=True)
    return 0


def _reply(complete: Complete, prefix: str, suffix: str, path: str) -> Reply:
    began = time.perf_counter()
    try:
        return complete(prefix, suffix, path)
    except Exception as error:  # transformers' healing raises KeyError where no entry goes on from the last token
        return Reply("", (time.perf_counter() - began) * 1000, failed=type(error).__name__)


def midtoken(folder: Path) -> Complete:
    """This engine, used as the server uses it."""
    from engine import Completer, CompletionRequest, StopParams

    completer = Completer.load(folder, device="cpu", threads=cores(), context_tokens=CONTEXT_TOKENS)
    stop = StopParams(max_new_tokens=MOST_TOKENS)

    def complete(prefix: str, suffix: str, path: str) -> Reply:
        began = time.perf_counter()
        result = completer.complete(CompletionRequest(prefix, suffix, path=path, stop=stop))
        total = (time.perf_counter() - began) * 1000
        text, tokens = (result.completions[0].text, result.completions[0].tokens) if result.completions else ("", 0)
        timing = result.timing
        read = result.prompt_tokens - result.reused_tokens
        return Reply(text, total, read, timing.prefill_ms, max(0, tokens - 1), timing.decode_ms)

    return complete


def llama_cpp(file: Path) -> Complete:
    """llama.cpp's own server, asked as its editor plugin does: the prompt cut at the cursor, prompts cached; greedy.

    A model that cannot fill in is asked to continue the prefix.
    """
    server, port = start(file, cores())
    plain = {"n_predict": MOST_TOKENS, "temperature": 0.0, "stop": ["\n"], "cache_prompt": True}

    fills_in = "error" not in post(port, "/infill", {"input_prefix": "a", "input_suffix": "b", "n_predict": 1})

    def complete(prefix: str, suffix: str, path: str) -> Reply:
        line = prefix.rfind("\n") + 1
        assert server is not None  # it lives as long as this function
        began = time.perf_counter()
        if fills_in:
            infill = {"input_prefix": prefix[:line], "prompt": prefix[line:], "input_suffix": suffix}
            answer = post(port, "/infill", {**plain, **infill})
        else:
            answer = post(port, "/completion", {**plain, "prompt": prefix})
        total = (time.perf_counter() - began) * 1000
        took = answer["timings"]
        return Reply(
            answer["content"], total, took["prompt_n"], took["prompt_ms"], took["predicted_n"], took["predicted_ms"]
        )

    return complete


def transformers(file: Path, *, healing: bool = False) -> Complete:
    """The same weights in float32, by ``generate``; ``healing`` switches its own token healing on, without a suffix."""
    import torch

    tokenizer, model = _in_torch(file)
    if tokenizer.bos_token_id is None:  # its healing compares with one, and fails without it
        tokenizer.bos_token = tokenizer.eos_token
    fills_in = "<|fim_prefix|>" in tokenizer.get_vocab() and not healing
    ways = {"max_new_tokens": MOST_TOKENS, "do_sample": False, "stop_strings": ["\n"], "token_healing": healing}

    def complete(prefix: str, suffix: str, path: str) -> Reply:
        began = time.perf_counter()
        prompt = f"<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>" if fills_in else prefix
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            written = model.generate(ids, tokenizer=tokenizer, **ways)[0]
        if healing:  # it may have replaced the last tokens of the prompt
            text = after_stripped(tokenizer.decode(written, skip_special_tokens=True), prefix)
        else:
            text = tokenizer.decode(written[ids.shape[1] :], skip_special_tokens=True)
        return Reply(text.split("\n", 1)[0], (time.perf_counter() - began) * 1000)

    return complete


def after_stripped(text: str, prefix: str) -> str:
    """What follows ``prefix`` in ``text``. transformers' healing takes white space off both ends of its prompt."""
    return text[len(prefix) if text.startswith(prefix) else len(prefix.lstrip()) :]


def llguidance(file: Path) -> Complete:
    """The same weights in float32 under llguidance, which takes back the last tokens of a prompt itself; no suffix."""
    import llguidance as library
    import torch

    tokenizer, model = _in_torch(file)
    rows = model.get_output_embeddings().weight.shape[0]
    entries = library.LLTokenizer(tokenizer.backend_tokenizer.to_str(), n_vocab=rows, eos_token=tokenizer.eos_token_id)
    # One line; what follows is not bound, because an entry may hold the line break and what stands behind it.
    grammar = library.LLMatcher.grammar_from_regex(r"[^\n]*\n(.|\n)*")

    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id

    def complete(prefix: str, suffix: str, path: str) -> Reply:
        began = time.perf_counter()
        guide = library.LLInterpreter(entries, grammar, enable_backtrack=False, enable_ff_tokens=False)
        ids = guide.process_prompt(entries.tokenize_str(prefix))
        known: Any = None
        fresh = [first, *ids]
        written = b""
        for _ in range(MOST_TOKENS):
            mask, _ = guide.compute_mask()  # a byte a token, zero where it may not stand
            if mask is None or b"\n" in written:
                break
            with torch.inference_mode():
                out = model(input_ids=torch.tensor([fresh]), past_key_values=known, use_cache=True)
            known = out.past_key_values
            allowed = torch.frombuffer(bytearray(mask), dtype=torch.uint8)[:rows] > 0
            token = int(out.logits[0, -1].masked_fill(~allowed, float("-inf")).argmax())
            guide.commit_token(token)
            ids, fresh = [*ids, token], [token]
            # What was taken back is written again: the text begins where the prefix ended.
            written = entries.decode_bytes(ids)[len(prefix.encode()) :]
        text = written.decode("utf-8", errors="replace")
        return Reply(text.split("\n", 1)[0], (time.perf_counter() - began) * 1000)

    return complete


def onnxruntime_genai(file: Path) -> Complete:
    """The same weights rounded to 4 bits by onnxruntime-genai's own builder, which reads no blocks; no healing."""
    from engine.runtime.ort import TELEMETRY_OFF

    assert os.environ[TELEMETRY_OFF], "the module that sets it comes before the library"
    import numpy as np
    import onnxruntime_genai as library

    from onnx_export.genai_graph import build
    from onnx_export.quantize import plan

    tokenizer, model = _in_torch(file)
    with tempfile.TemporaryDirectory() as name:
        checkpoint = Path(name, "checkpoint")
        model.save_pretrained(checkpoint)
        tokenizer.save_pretrained(checkpoint)
        del model
        build(checkpoint, plan("int4", "cpu"), Path(name, "model"), tied=True)
        runs = library.Model(str(Path(name, "model")))
    fills_in = "<|fim_prefix|>" in tokenizer.get_vocab()

    def complete(prefix: str, suffix: str, path: str) -> Reply:
        began = time.perf_counter()
        prompt = f"<|fim_prefix|>{prefix}<|fim_suffix|>{suffix}<|fim_middle|>" if fills_in else prefix
        ids = tokenizer(prompt).input_ids
        params = library.GeneratorParams(runs)
        params.set_search_options(do_sample=False, max_length=len(ids) + MOST_TOKENS)
        generator = library.Generator(runs, params)
        generator.append_tokens(np.array([ids], np.int32))
        read_ms = (time.perf_counter() - began) * 1000
        written: list[int] = []
        while not generator.is_done() and "\n" not in tokenizer.decode(written):
            generator.generate_next_token()
            written.append(int(generator.get_next_tokens()[0]))
        total = (time.perf_counter() - began) * 1000
        text = tokenizer.decode(written, skip_special_tokens=True)
        return Reply(text.split("\n", 1)[0], total, len(ids), read_ms, len(written), total - read_ms)

    return complete


def _in_torch(file: Path) -> tuple[Any, Any]:
    """Tokenizer and model of a GGUF file, in float32."""
    from onnx_export import OFFLINE

    os.environ.update(OFFLINE)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(cores())
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    if getattr(model, "hf_quantizer", None) is not None:
        model.hf_quantizer.remove_quantization_config(model)  # these are floats; with it they cannot be saved
    return tokenizer, model.eval()


PEERS: dict[str, Callable[[Path], Complete]] = {
    "midtoken": midtoken,
    "llama.cpp": llama_cpp,
    "llguidance": llguidance,
    "transformers": transformers,
    "transformers-healing": lambda file: transformers(file, healing=True),
    "onnxruntime-genai": onnxruntime_genai,
}


if __name__ == "__main__":
    sys.exit(main())
