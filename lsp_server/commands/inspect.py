"""``midtoken inspect``: what a model folder holds, and how a text is healed with it."""

import argparse
import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from engine import Completer, CompletionRequest, HealingTrace
from lsp_server.commands.options import (
    add_healing_option,
    add_model_options,
    healing_params,
    load_completer,
    set_example,
    use_environment,
)

_SAMPLES = {
    "python": "def read(path: str) -> list[str]:\n    with open(path) as stream:\n        return stream.readlines()\n",
    "typescript": "export function sum(values: number[]) {\n  return values.reduce((a, b) => a + b, 0);\n}\n",
    "java": "int size() {\n    for (Entry e : entries) {\n        total += e.length();\n    }\n}\n",
    "c": 'int main(int argc, char **argv) {\n    printf("%d\\n", argc);\n    return 0;\n}\n',
    "go": "func (s *Server) Close() {\n\tif err := s.conn.Close(); err != nil {\n\t\treturn err\n\t}\n}\n",
    "rust": "impl Counter {\n    fn next(&mut self) -> Option<u32> {\n        Some(self.count)\n    }\n}\n",
    "html": '<div class="menu">\n  <a href="/about">About us</a>\n</div>\n',
    "prose": "The quick brown fox jumps over the lazy dog, and nobody asks why.\n",
    "chinese": "他把书放在桌子上，然后关上了门。\n",
}


_INDEXES = {
    "datrie": "double-array trie",
    "sorted": "sorted array; 'pip install \"midtoken[datrie]\"' builds the double-array trie, with a C compiler",
}


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    set_example(parser, "midtoken inspect", "midtoken inspect --model my-model --text 'import nump'")
    parser.add_argument("--text", metavar="TEXT", help="trace how completing after this text is healed")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_healing_option(parser)
    add_model_options(parser)
    use_environment(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the contract, the fertility and, with ``--text``, the trace."""
    completer = load_completer(args)
    report: dict[str, Any] = {
        "model": contract(completer),
        "contract": [dataclasses.asdict(clause) for clause in completer.contract],
        "characters_per_token": fertility(completer),
    }
    trace = None
    if args.text is not None:
        trace = completer.trace(CompletionRequest(prefix=args.text, healing=healing_params(args)))
        report["healing"] = _trace_as_json(trace)
    if args.json:
        print(json.dumps(report, ensure_ascii=False, allow_nan=False))
        return 0
    index = report["model"]["prefix_index"]
    _print_section("model", report["model"] | {"prefix_index": _INDEXES.get(index, index)})
    print("vocabulary-model contract")
    for clause in completer.contract:
        print(f"  {clause.name:<34} {clause.value:<24} {clause.note}".rstrip())
    _print_section("characters per token", report["characters_per_token"])
    if trace is not None:
        print("\n".join(_trace_as_text(trace)))
    return 0


def _print_section(title: str, values: Mapping[str, Any]) -> None:
    print(title)
    for name, value in values.items():
        print(f"  {name.replace('_', ' '):<20} {_value(value)}")


def contract(completer: Completer) -> dict[str, Any]:
    """What the folder states and the loader has verified."""
    info, manifest, vocabulary = completer.info, completer.manifest, completer.tokenizer.vocabulary
    return {
        "path": info.path,
        "name": info.name,
        "architecture": manifest.architecture,
        "precision": info.precision,
        **({"second_graph": _second_graph(info.reading_rows)} if manifest.reading_file else {}),
        "device": info.device,
        "provider": info.provider,
        "context_tokens": info.context_length,
        "most_context_tokens": manifest.context_length,
        "tokenizer_entries": manifest.vocabulary.tokenizer,
        "embedding_rows": manifest.vocabulary.embedding,
        "head_rows": manifest.vocabulary.head,
        "control_tokens": len(vocabulary.control_ids),
        "healing_candidates": len(vocabulary.candidate_ids),
        "longest_token_bytes": vocabulary.longest,
        "prefix_index": info.prefix_index,
        "fill_in_the_middle": list(info.fim_orders),
        "copying": list(manifest.copying),
        "licence": manifest.licence or None,
    }


def _second_graph(rows: int | None) -> str:
    """What was found out about the folder's second graph, in words."""
    return "not used: it is not faster here" if rows is None else f"reads where {rows} tokens or more are read at once"


def fertility(completer: Completer) -> dict[str, float]:
    """Characters per token on one short sample of each language: how much text one decode step writes."""
    return {
        language: round(len(text) / len(completer.tokenizer.encode(text)), 2) for language, text in _SAMPLES.items()
    }


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "not stated" if value is None else str(value)


def _trace_as_json(trace: HealingTrace) -> dict[str, Any]:
    return {
        "mode": trace.mode,
        "tail": [_show(token) for token in trace.tail],
        "candidates": trace.candidates,
        "surprise_bits": trace.surprise_bits if math.isfinite(trace.surprise_bits) else None,
        "covers": [
            {
                "before": [_show(token) for token in cover.before],
                "token": _show(cover.data),
                "typed_bytes": cover.typed,
                "probability": cover.probability,
                "canonical": cover.valid,
                "chosen": cover.chosen,
            }
            for cover in trace.covers
        ],
    }


def _trace_as_text(trace: HealingTrace) -> list[str]:
    lines = [
        f"healing ({trace.mode})",
        f"  certain    {_tokens(trace.context[-8:])}",
        f"  tail       {_tokens(trace.tail)}",
        f"  surprise   {trace.surprise_bits:.2f} bits for what is typed; {trace.candidates:,} candidates",
        "  probability  tokens (what is new stands after the bar)",
    ]
    for cover in trace.covers:
        typed, new = _show(cover.data[: cover.typed]), _show(cover.data[cover.typed :])
        notes = ("" if cover.valid else "  not canonical") + ("  <- chosen" if cover.chosen else "")
        before = _tokens(cover.before) + " " if cover.before else ""
        lines.append(f"  {cover.probability:>11.4f}  {before}[{typed}|{new}]{notes}")
    return lines


def _tokens(tokens: tuple[bytes, ...]) -> str:
    return " ".join(f"[{_show(token)}]" for token in tokens) or "(empty)"


def _show(data: bytes) -> str:
    """Bytes on one line: readable text stays as it is, line breaks and broken characters are escaped."""
    text = data.decode("utf-8", errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
