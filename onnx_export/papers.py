"""The papers of a model: licence, notices and card. They go with everything that is made of it.

The Apache licence, section 4, asks for three things of derived files: the licence, the notices, and a statement of
what was changed. Other licences ask for less. So every folder has all three, as far as the source has them.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from engine.model_folder.card import licence_of_card

CARD, NOTICE = "MODEL_CARD.md", "NOTICE"
PUBLISHED_CARD = "README.md"
"""Where a published checkpoint has its card."""
_BEGINNINGS = ("license", "licence", "notice", "copying", "use_policy")
_ENDINGS = ("", ".md", ".txt", ".rst")


def papers_of(folder: Path) -> Sequence[str]:
    """Names of the files of ``folder`` that are licences, notices or cards, in order."""
    names = sorted(path.name for path in folder.iterdir())
    return [name for name in names if name in (CARD, PUBLISHED_CARD) or _is_paper(name)]


def stated_licence(folder: Path) -> str:
    """The licence in the head of the card of a checkpoint; empty if there is none."""
    card = _card_of(folder)
    return "" if card is None else licence_of_card(card.read_text(encoding="utf-8", errors="replace"))


def copy_papers(source: Path, out: Path) -> None:
    """Copy the papers of a checkpoint. Its README is taken for the card if it has no other."""
    for name in papers_of(source):
        if name != PUBLISHED_CARD:
            shutil.copyfile(source / name, out / name)
    card = _card_of(source)
    if card is not None and not (out / CARD).exists():
        shutil.copyfile(card, out / CARD)


def add_notice(out: Path, name: str, change: str, licence: str) -> None:
    """State in the NOTICE of a derived folder, after what the source's own says, what was changed and what holds.

    ``change`` is a sentence without its subject: ``"written as an ONNX graph"``.
    """
    path = out / NOTICE
    before = path.read_text(encoding="utf-8", errors="replace").rstrip() + "\n\n" if path.exists() else ""
    path.write_text(f"{before}{statement(name, change, licence)}\n", encoding="utf-8")


def statement(name: str, change: str, licence: str) -> str:
    """What a derived folder says of its source, in one line."""
    states = f"Licence stated by the source: {licence}." if licence else "The source states no licence: look it up."
    line = (
        f"Derived from {name} by Midtoken: {change}. {states} "
        "The licence and the notices of the source hold for this folder too."
    )
    return "".join(character if character.isprintable() else " " for character in line)


def _card_of(folder: Path) -> Path | None:
    return next((folder / name for name in (CARD, PUBLISHED_CARD) if (folder / name).is_file()), None)


def _is_paper(name: str) -> bool:
    ending = Path(name).suffix.casefold()
    return name.casefold().startswith(_BEGINNINGS) and (ending in _ENDINGS or ending[1:].isdigit())
