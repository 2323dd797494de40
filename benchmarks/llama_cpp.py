"""llama.cpp's own server inside this process, through ``xllamacpp`` (an optional package that only benchmarks use).

    python -m benchmarks.llama_cpp FILE.gguf

runs it alone: it prints one line of JSON with its ``port`` and ends when its standard input does.
"""

import http.client
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BATCH_TOKENS = 1024
REUSED_TOKENS = 256
CONTEXT_TOKENS = 4096
TIMEOUT_S = 300.0
"""Batch and reuse are those of llama.cpp's presets for code completion. Its infill reads at most a batch."""


def start(file: Path, threads: int) -> tuple[Any, int]:
    """The server, which runs as long as the object exists, and its port on the loopback address. Takes 0.5 to 5 s."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx, params.n_parallel, params.verbosity = CONTEXT_TOKENS, 1, -1
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.n_cache_reuse = REUSED_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.warmup = False
    server = xllamacpp.Server(params)
    return server, int(server.listening_address.rsplit(":", 1)[1])


def post(port: int, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """One request, in a connection of its own, because the server closes connections that are idle for seconds.

    Raises OSError or `http.client.HTTPException` where no answer comes, ValueError if it is not JSON.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", path, json.dumps(asked), {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


def cores() -> int:
    """How many cores this process may use; as many threads are given to each of the programs that are compared."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the input ends."""
    [file] = sys.argv[1:] if arguments is None else arguments
    server, port = start(Path(file), cores())
    print(json.dumps({"port": port}), flush=True)
    sys.stdin.read()
    del server
    return 0


if __name__ == "__main__":
    sys.exit(main())
