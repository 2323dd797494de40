"""One completion in a document that is very large or odd, or beside very many.

    python -m benchmarks.large_documents

Each case has a server of its own, with the bundled model. Again and again, a line of code is begun at the end of the
document and ghost text is requested. The first answer, for which the document is read, has a column of its own. The
server leaves out a document of more than four million characters: its answer is empty.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import programs
from benchmarks.documents import own_sources
from benchmarks.lsp_client import URI, LspClient
from benchmarks.tables import Report, Table, as_text, machine

ROUNDS = 15
SMALL = "import os\n\n\ndef run(path):\n    return os.path.join(path, 'a')\n\n\n"


@dataclass(frozen=True, slots=True)
class Case:
    """The text before the cursor's line, and what else is open."""

    name: str
    before: str
    documents: int = 0
    cells: int = 0


def cases() -> tuple[Case, ...]:
    """The cases. A usual document comes first, and the others are compared with it."""
    closed = "".join("(" * 50 + ")" * 50 + "\n" for _ in range(10_000))
    return (
        Case("a source of ours", max(own_sources(), key=len)),
        Case("a few lines", SMALL),
        Case("10^6 brackets, open", "(" * 100 + "\n" + ("([{" * 33 + "\n") * 10_000),
        Case("10^6 brackets, closed on their lines", closed),
        Case("10^6 brackets, opened, then closed", "(" * 500_000 + "\n" + ")" * 500_000 + "\n"),
        Case("10^6 quotes", ("'\"" * 50 + "\n") * 10_000),
        Case("a line of 3.9 MB", "x = '" + "a" * 3_900_000 + "'\n"),
        Case("a line of 5 MB", "x = '" + "a" * 5_000_000 + "'\n"),
        Case("200,000 lines", "value = 1\n" * 200_000),
        Case("10,000 open documents", SMALL, documents=10_000),
        Case("a notebook of 10,000 cells", SMALL, cells=10_000),
    )


def measure(case: Case, place: Path) -> tuple[float, float, int]:
    """Milliseconds to the first answer, the median of the later ones, and how many answers were not empty."""
    with programs.start(["-m", "lsp_server", "serve"], programs.environment(place)) as process:
        client = LspClient(process, {"debounceMs": 0, "budgetMs": 60_000})
        _open_others(client, case)
        uri = _open(client, case)
        line = case.before.count("\n")
        took, shown = [], 0
        for number in range(ROUNDS + 1):
            begun = f"value_{number} = os.pa"
            client.type(line + number, 0, begun, uri)
            began = time.perf_counter()
            shown += bool(client.inline_completion(line + number, len(begun), uri))
            took.append((time.perf_counter() - began) * 1000)
            client.type(line + number, len(begun), "th\n", uri)
        client.close()
    return took[0], median(took[1:]), shown


def _open(client: LspClient, case: Case) -> str:
    if not case.cells:
        client.open(case.before)
        return URI
    texts = [f"x{number} = {number}\n" for number in range(case.cells - 1)] + [case.before]
    cells = [{"kind": 2, "document": f"cell:{number}"} for number in range(case.cells)]
    documents = [
        {"uri": cell["document"], "languageId": "python", "version": 0, "text": text}
        for cell, text in zip(cells, texts, strict=True)
    ]
    notebook = {"uri": "file:///book.ipynb", "notebookType": "jupyter-notebook", "version": 0, "cells": cells}
    client.notify("notebookDocument/didOpen", {"notebookDocument": notebook, "cellTextDocuments": documents})
    return f"cell:{case.cells - 1}"


def _open_others(client: LspClient, case: Case) -> None:
    for number in range(case.documents):
        document = {"uri": f"file:///other{number}.py", "languageId": "python", "version": 0, "text": SMALL}
        client.notify("textDocument/didOpen", {"textDocument": document})


def report(chosen: Sequence[Case]) -> Report:
    """Run every case."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for case in chosen:
            first, later, shown = measure(case, Path(place))
            rows.append((case.name, first, later, shown))
            sys.stderr.write(f"{case.name}: {later:.1f} ms\n")
    usual = rows[0][2]
    columns = ("document", "first ms", "then p50 ms", "times the first", "answers with a text")
    table = Table("from the question to the answer", columns, tuple((n, f, t, t / usual, s) for n, f, t, s in rows))
    return Report("large documents", {**machine(), "rounds": ROUNDS}, (table,), ())


def main() -> int:
    """Print the table."""
    sys.stdout.write(as_text(report(cases())) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
