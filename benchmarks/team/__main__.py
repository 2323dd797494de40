"""Measure the team's service on this machine, on a Ray of its own; needs the extra ``team``.

    python -m benchmarks.team load [--files PATH ...] [--users 1 4 16 64] [--seconds S] [--without-pauses]
    python -m benchmarks.team load --compare parking [...]
    python -m benchmarks.team scaling [--replicas 1 2 4 8] [--users-each N] [--slow N]

``load``: people who type, on one replica, with shared passes and without, or with parked documents and without.
``scaling``: replicas that only wait as long as a GPU would compute. ``--json`` prints the report for programs.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.documents import own_sources
from benchmarks.keystrokes import passages
from benchmarks.tables import Report, as_json, as_text, machine
from benchmarks.team import load, scaling
from lsp_server.commands.progress import progress_bar
from lsp_server.team.silence import silence


def parser() -> argparse.ArgumentParser:
    """The arguments of both benchmarks."""
    whole = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = whole.add_subparsers(dest="what", required=True)
    one = commands.add_parser("load", help="people who type, on one replica")
    one.add_argument("--files", type=Path, nargs="+", help="files or folders that are typed (default: our own sources)")
    one.add_argument("--model", default="bundled", help="name of 'midtoken models', or a path (default: bundled)")
    one.add_argument("--users", type=int, nargs="+", default=load.USERS, metavar="N")
    one.add_argument("--rounds", type=int, default=2, metavar="N")
    one.add_argument("--seats", type=int, default=16, metavar="N", help="requests at once in the replica (default: 16)")
    one.add_argument("--compare", choices=load.COMPARED, default=load.COMPARED[0], help="what is off and on in turn")
    one.add_argument("--parked-mb", type=int, metavar="MB", help="memory for parked documents (default: a replica's)")
    one.add_argument("--without-pauses", action="store_true", help="ask again as soon as there is an answer")
    one.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    other = commands.add_parser("scaling", help="replicas that wait as long as a GPU would compute")
    other.add_argument("--replicas", type=int, nargs="+", default=scaling.REPLICAS, metavar="N")
    other.add_argument("--users-each", type=int, default=scaling.USERS_EACH, metavar="N", help="users for each replica")
    other.add_argument("--slow", type=float, default=scaling.SLOW, metavar="N", help="slow motion: GPU and users")
    for command, seconds in ((one, 10.0), (other, 30.0)):
        command.add_argument("--seconds", type=float, default=seconds, metavar="S", help="of each measurement")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--json", action="store_true")
    return whole


def main() -> int:
    """Print the report."""
    args = parser().parse_args()
    folder = silence(os.environ)  # before Ray is imported
    ray_folder = None if folder is None else folder.ray
    try:
        report = _load(args, ray_folder) if args.what == "load" else _scaling(args, ray_folder)
    finally:
        if folder is not None:
            folder.remove()
    if args.json:
        print(json.dumps({"machine": machine(), "benchmarks": [as_json(report)]}, ensure_ascii=False))
    else:
        print("\n".join(f"  {name}: {value}" for name, value in machine().items()))
        print(as_text(report))
    return 0


def _load(args: argparse.Namespace, ray_folder: Path | None) -> Report:
    from benchmarks.team.service import config_of, serving
    from benchmarks.team.turns import OFF, TurnsReplica
    from lsp_server.team.application import ModelReplica
    from lsp_server.team.config import ModelConfig

    parks = args.compare == "parking"

    models = tuple(
        ModelConfig(
            name,
            args.model,
            cpus=0.1,
            device=args.device,
            context_tokens=1024,
            concurrent=args.seats,
            waiting=4 * args.seats,
            parked_mb=0 if parks and name == OFF else args.parked_mb,
        )
        for name in load.MODES
    )
    options = load.LoadOptions(
        passages.read(args.files) if args.files else own_sources(),
        args.users,
        args.seconds,
        args.rounds,
        not args.without_pauses,
        seed=args.seed,
        compared=args.compare,
        progress=progress_bar("load"),
    )
    with serving(config_of(models), ModelReplica if parks else TurnsReplica, ray_folder) as url:
        return load.run(url, options)


def _scaling(args: argparse.Namespace, ray_folder: Path | None) -> Report:
    options = scaling.ScalingOptions(args.replicas, args.users_each, args.slow, args.seconds, args.seed)
    return scaling.run(options, ray_folder, progress_bar("scaling"))


if __name__ == "__main__":
    sys.exit(main())
