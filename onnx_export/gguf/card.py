"""The model card of a folder that was converted from a GGUF file: what the header says of its origin and licence.

Everything in a header was written by others. So a value is one line of printable characters of bounded length.
"""

import re

from onnx_export.gguf.header import GgufFile

_LONGEST = 300
_ROWS = {
    "author": ("general.author", "general.organization"),
    "licence": ("general.license", "general.license.name"),
    "text of the licence": ("general.license.link",),
    "source": ("general.source.url", "general.url", "general.repo_url", "general.source.repo_url"),
    "made from": ("general.base_model.0.name", "general.base_model.0.repo_url"),
    "about it": ("general.description",),
}


def model_card(file: GgufFile, name: str, change: str, statement: str) -> str:
    """The card in Markdown. ``change`` says what was done to the weights, ``statement`` which licence holds."""
    rows = {"file": file.path.name, "change": change}
    rows |= {title: ", ".join(dict.fromkeys(_values(file, names))) for title, names in _ROWS.items()}
    rows["licence"] = rows["licence"] or "not stated: look it up"
    table = "\n".join(f"| {title} | {_cell(text)} |" for title, text in rows.items() if text)
    return f"# {_cell(name)}\n\n{_cell(statement)}\n\n| | |\n|---|---|\n{table}\n"


def _values(file: GgufFile, names: tuple[str, ...]) -> list[str]:
    return [value for name in names if isinstance(value := file.fields.get(name), str) and value.strip()]


def _cell(text: str) -> str:
    line = "".join(character if character.isprintable() else " " for character in text)
    return re.sub(r"([|<\[\]`])", r"\\\1", line[:_LONGEST].strip())
