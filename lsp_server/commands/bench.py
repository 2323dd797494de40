"""``midtoken bench``: the measurements behind every claim of speed, as ratios against a peer in the same run."""

import argparse
import sys
from pathlib import Path

from engine import RequestError
from lsp_server.commands.options import add_model_options, set_example, use_environment
from lsp_server.models.lookup import model_folder, source_file

BENCHMARKS = ("trie", "healing", "covers", "decode", "sampling", "batches", "startup", "replay")
WITH_A_FILE = ("peers",)
"""Benchmarks that need more options, so they do not run by default."""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    set_example(parser, "midtoken bench", "midtoken bench healing decode --json")
    names = ", ".join(BENCHMARKS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {names} (default: all), or peers")
    parser.add_argument("--tokenizers", type=Path, metavar="DIR", help="folder of *.json.gz tokenizers for 'trie'")
    parser.add_argument(
        "--repetitions", type=int, metavar="N", help="rounds of measurement (default: each benchmark's own)"
    )
    replay = parser.add_argument_group("what 'replay' types")
    replay.add_argument(
        "--files", type=Path, nargs="+", default=(), metavar="PATH", help="files or folders (default: our sources)"
    )
    replay.add_argument(
        "--characters",
        type=int,
        metavar="N",
        help="characters of them (default: 300; 3 minutes); 'startup' types N too",
    )
    replay.add_argument("--seconds", type=float, metavar="N", help="begin no passage after N seconds")
    replay.add_argument("--speed", type=float, default=1.0, metavar="X", help="X times as fast as a person")
    replay.add_argument(
        "--client", choices=("vscode", "neovim"), default="vscode", help="whose habits (default: vscode)"
    )
    replay.add_argument("--seed", type=int, default=0, metavar="N", help="of passages, pauses and typos")
    replay.add_argument("--peer", action="store_true", help="type into llama.cpp's server too, on the same weights")
    peers = parser.add_argument_group("who is compared with us by 'peers', and by 'replay --peer'")
    peers.add_argument("--gguf", type=Path, metavar="FILE", help="its weights (default: the file MODEL was made of)")
    peers.add_argument(
        "--cases", type=Path, metavar="CASES.jsonl", help="places, as for evaluate (default: our sources)"
    )
    peers.add_argument("--places", type=int, default=200, metavar="N", help="at most so many of them (default: 200)")
    peers.add_argument(
        "--timed", type=int, metavar="N", help="ask the places after the first N once, for quality (default: none)"
    )
    peers.add_argument(
        "--peers",
        nargs="+",
        default=(),
        metavar="PEER",
        help="which ones (default: those that are installed): "
        "llama.cpp, llguidance, transformers, transformers-healing, onnxruntime-genai",
    )
    peers.add_argument(
        "--results", type=Path, metavar="FILE", help="of answers, begun or gone on with (default: none is kept)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_model_options(parser)
    use_environment(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the machine, then a table and ratios for each name."""
    known = (*BENCHMARKS, *WITH_A_FILE)
    unknown = [name for name in args.names if name not in known]
    if unknown:
        raise RequestError(f"no benchmark is called {unknown[0]!r}; there are {', '.join(known)}")
    if args.repetitions is not None and args.repetitions < 1:
        raise RequestError(f"--repetitions is {args.repetitions}; it must be at least 1")
    if args.tokenizers is not None and not args.tokenizers.is_dir():
        raise RequestError(f"no folder at {args.tokenizers}; give one that holds *.json.gz tokenizers")
    for name in ("characters", "seconds", "speed", "places", "timed"):
        value = getattr(args, name)
        if value is not None and not 0 < value < float("inf"):
            raise RequestError(f"--{name} is {value:g}; it must be above 0")
    missing = [path for path in args.files if not path.exists()]
    if missing:
        raise RequestError(f"there is nothing at {missing[0]}; give files or folders of text to type")
    model = model_folder(args.gguf if args.model is None and args.gguf is not None else args.model)
    gguf = _weights_of_peers(args, model) if args.peer or "peers" in args.names else None
    _find_benchmarks()
    # Imported here, because they start the server and the command line themselves.
    from benchmarks import suite
    from benchmarks.tables import BenchOptions

    options = BenchOptions(
        model=model,
        device=args.device,
        tokenizers=args.tokenizers,
        repetitions=args.repetitions,
        files=tuple(args.files),
        characters=args.characters,
        seconds=args.seconds,
        speed=args.speed,
        client=args.client,
        seed=args.seed,
        gguf=gguf,
        replay_peer=args.peer,
        cases=args.cases,
        places=args.places,
        timed=args.timed,
        peers=tuple(args.peers),
        results=args.results,
    )
    suite.run(args.names or BENCHMARKS, options, as_json_object=args.json)
    return 0


def _weights_of_peers(args: argparse.Namespace, model: Path | None) -> Path:
    """The GGUF file that peers run. Raises `RequestError` if there is none."""
    file: Path | None = args.gguf
    if file is None and model is not None:
        file = source_file(model)
    if file is None:
        raise RequestError("a peer needs weights; give --gguf FILE, or --model with the name of a converted GGUF file")
    if not file.is_file():
        raise RequestError(f"there is no file at {file}; give --gguf the path of a GGUF file")
    return file


def _find_benchmarks() -> None:
    """Make our `benchmarks` importable: an installed wheel has it in a folder inside this package, a checkout
    beside it.
    """
    package = Path(__file__).resolve().parents[1]
    installed = package / "bench_sources"
    folder = str(installed if installed.is_dir() else package.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
