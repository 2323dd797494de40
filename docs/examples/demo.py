"""The demonstration behind ``make demo``: a real file, cut where programmers stop typing, healed and not."""

from pathlib import Path

from engine import BASELINE_MODES, HEALING_MODES, Completer, CompletionRequest, HealingParams

MODES = ("off", *BASELINE_MODES, *HEALING_MODES[1:])
"""Ours, and what other tools do: the prompt cut at the cursor, and decoding under the typed text."""
FILE = Path(__file__).parent / "inventory.py"
CUTS = (
    ("in an identifier", "from dataclasses import datac"),
    ("in a keyword", "        ret"),
    ("after a dot", "if not os."),
    ("in a superword", "if __na"),
    ("in an attribute", "        self.pa"),
    ("after trailing spaces", "        for "),
)


def main() -> None:
    """Complete each cut with the bundled model and print what stands before and after the cursor."""
    completer = Completer.load()
    text = FILE.read_text(encoding="utf-8")
    info = completer.info
    print(f"{info.name} on {info.provider}, {info.vocabulary:,} entries; {FILE.name}\n")
    for title, typed in CUTS:
        cursor = text.index(typed) + len(typed)
        print(title)
        for mode in MODES:
            _show(completer, text, cursor, mode)


def _show(completer: Completer, text: str, cursor: int, mode: str) -> None:
    # The rest of the line is left out, as it would be while someone types it.
    line_end = text.index("\n", cursor)
    request = CompletionRequest(text[:cursor], text[line_end:], healing=HealingParams(mode=mode))
    result = completer.complete(request)
    line = text[text.rfind("\n", 0, cursor) + 1 : cursor]
    inserted = result.completions[0].text if result.completions else ""
    print(f"  {mode:<11} {line}\N{LEFTWARDS ARROW}{inserted}\N{RIGHTWARDS ARROW}   ({result.timing.total_ms:.0f} ms)")


if __name__ == "__main__":
    main()
