"""The vocabulary-model contract: tokenizer, embedding, head and control ids must agree before anything runs.

If the tokenizer has more entries than the embedding has rows, the model reads memory that is not there. If control ids
are wrong, they are written into documents as text. If the tokenizer loses a tab, it is lost from the user's file. Such
faults can go unnoticed for a long time, so loading and exporting refuse these models.
"""

from dataclasses import dataclass

from engine.errors import ContractError
from engine.model_folder.manifest import Manifest
from engine.text.tokenizer import Tokenizer
from engine.text.vocabulary import Vocabulary

ROUND_TRIPS = (
    ("tabs", "if x:\n\tif y:\n\t\treturn\t1\n"),
    ("line breaks of Windows", "a = 1\r\n\r\nb = 2\r\n"),
    ("indentation", "def f():\n    for i in x:\n            y(i)\n  # odd\n \n"),
    ("Unicode", "größe = 'naïve e\u0301 日本語 Ελληνικά 👩‍👩‍👧 \u00a0\u200b'\n"),
    ("spaces at both ends", "  x  "),
)


@dataclass(frozen=True, slots=True)
class Clause:
    """One line of the contract: what was checked, what was found, and a note, which may be empty."""

    name: str
    value: str
    note: str = ""


def check_contract(manifest: Manifest, vocabulary: Vocabulary) -> None:
    """Raise `ContractError`, naming the disagreement, unless ``manifest`` and ``vocabulary`` belong together."""
    sizes = manifest.vocabulary
    if sizes.tokenizer != vocabulary.size:
        raise ContractError(
            f"{manifest.tokenizer_file} has {vocabulary.size} entries but the manifest says {sizes.tokenizer}; "
            "the tokenizer belongs to another model"
        )
    for part, rows in (("embedding", sizes.embedding), ("output head", sizes.head)):
        if rows < vocabulary.size:
            raise ContractError(f"the {part} has {rows} rows for {vocabulary.size} tokens; export the model again")
    for role, ids in _roles(manifest).items():
        for token in ids:
            # The padding id may be beyond the tokenizer's entries, because it is never fed to the model.
            limit = sizes.embedding if role == "pad" else vocabulary.size
            if token >= limit:
                raise ContractError(f"the {role} id {token} is not below {limit}; export the model again")
    for role in ("fill-in-the-middle", "repository"):
        for token in _roles(manifest)[role]:
            if token not in vocabulary.control_ids:
                raise ContractError(f"the {role} id {token} is ordinary text in the tokenizer; export the model again")


def check_round_trip(tokenizer: Tokenizer) -> None:
    """Raise `ContractError`, naming what is lost, unless code comes back from its tokens as it was, byte by byte."""
    for what, text in ROUND_TRIPS:
        if not _comes_back(text, tokenizer):
            raise ContractError(f"the tokenizer does not give back {what}, so it would change code; use another model")


def clauses(manifest: Manifest, tokenizer: Tokenizer) -> tuple[Clause, ...]:
    """The contract of a loaded model, clause by clause, for people: what `midtoken inspect` prints."""
    sizes, vocabulary = manifest.vocabulary, tokenizer.vocabulary
    control = manifest.control
    padding = sizes.head - sizes.tokenizer
    tied = {True: "tied", False: "apart", None: "not looked at"}[sizes.tied]
    found = [
        Clause("tokenizer entries", f"{sizes.tokenizer}", f"{len(vocabulary.control_ids)} of them control"),
        Clause("embedding rows", f"{sizes.embedding}"),
        Clause("head rows", f"{sizes.head}", f"{padding} padding rows are never chosen" if padding else ""),
        Clause("embedding and head", tied),
        Clause("begin", _spelled(control.begin), "" if control.begin is not None else "texts begin without one"),
        Clause("end", ", ".join(map(str, control.end))),
        Clause("padding", _spelled(control.pad), "equals an end" if control.pad in control.end else ""),
    ]
    count = len(sizes.untrained)
    if count:
        listed = ", ".join(map(str, sizes.untrained[:8])) + (", ..." if count > 8 else "")
        found.append(Clause("untrained entries", f"{count}", f"ids {listed}: their rows were never shaped by training"))
    else:
        found.append(Clause("untrained entries", "none" if sizes.tied is not None else "not looked at"))
    if manifest.fim is None:
        found.append(Clause("fill in the middle", "none", "completes from the text before the cursor alone"))
    else:
        for order, parts in manifest.fim.templates.items():
            note = "default" if order == manifest.fim.default else ""
            found.append(Clause(f"fill in the middle, {order}", " ".join(map(str, parts)), note))
    tokens = manifest.repository
    found.append(Clause("files and repositories", "none" if tokens is None else f"{tokens.file}, {tokens.repository}"))
    missing = " ".join(f"{byte:02X}" for byte in sorted(vocabulary.missing))
    note = "the model reads other characters in their place" if missing else ""
    found.append(Clause("bytes without entry", missing or "none", note))
    layout = manifest.key_value
    kind = "one buffer" if layout.shared else "separate past and present"
    found.append(
        Clause("keys and values", f"{layout.layers} x {layout.heads} x {layout.head_size} {layout.dtype}", kind)
    )
    for what, text in ROUND_TRIPS:
        found.append(Clause(f"round trip, {what}", "exact" if _comes_back(text, tokenizer) else "lost"))
    return tuple(found)


def _comes_back(text: str, tokenizer: Tokenizer) -> bool:
    written = tokenizer.decode_bytes(tokenizer.encode(text))
    # SentencePiece's leading space belongs to the first token.
    return tokenizer.readable(text).encode() in (written, written.removeprefix(b" "))


def _roles(manifest: Manifest) -> dict[str, list[int]]:
    control, tokens = manifest.control, manifest.repository
    roles: dict[str, list[int | None]] = {
        "end": [*control.end],
        "begin": [control.begin],
        "pad": [control.pad],
        "fill-in-the-middle": [] if manifest.fim is None else [*sorted(manifest.fim.control_ids)],
        "repository": [] if tokens is None else [tokens.file, tokens.repository],
    }
    return {role: [token for token in ids if token is not None] for role, ids in roles.items()}


def _spelled(token: int | None) -> str:
    return "none" if token is None else str(token)
