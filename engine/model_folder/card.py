"""What a model card says in its head, which is YAML between two lines of dashes."""

import re

_LICENCE = re.compile(r"^license(?:_name)?:[ \t]*[\"']?([^\s\"']+)", re.MULTILINE)
_LONGEST = 60


def licence_of_card(text: str) -> str:
    """The licence that a card states, at most 60 printable characters; empty if it states none.

    >>> licence_of_card("---\\nlicense: mit\\n---\\n# A model")
    'mit'
    """
    head = text.split("\n---", 1)[0] if text.startswith("---") else ""
    stated = [name for name in _LICENCE.findall(head) if name.isprintable()]
    return next((licence for licence in stated if licence != "other"), "other" if stated else "")[:_LONGEST]
