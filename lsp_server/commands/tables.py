"""Text in columns, and numbers in a readable form."""

from collections.abc import Sequence


def columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A line of titles, then one line for each row, with two spaces between columns."""
    cells = [tuple(titles), *(tuple(map(printable, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def printable(text: str) -> str:
    """Text of a file as one printable line, so that it cannot control the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def shortened(text: str, most: int) -> str:
    """The text in at most ``most`` characters, with a mark if some are left out."""
    return text if len(text) <= most else text[: most - 1].rstrip(" ,;(") + "…"


def size(count_of_bytes: int) -> str:
    """Bytes in a readable form; empty for 0.

    >>> size(491_400_064)
    '491 MB'
    """
    return _scaled(count_of_bytes, (("GB", 9), ("MB", 6), ("kB", 3), ("B", 0)))


def count(number: int) -> str:
    """A number of weights in millions or billions; empty for 0."""
    return _scaled(number, (("B", 9), ("M", 6), ("k", 3), ("", 0)))


def _scaled(number: int, units: Sequence[tuple[str, int]]) -> str:
    if not number:
        return ""
    for unit, power in units:
        value = number / 10**power
        if value >= 1:
            return f"{value:.1f} {unit}".strip() if value < 10 and power else f"{value:.0f} {unit}".strip()
    return str(number)
