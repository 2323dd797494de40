"""The vocabulary-model contract: tokenizer, embedding, head and control ids must agree before anything runs.

A model whose tokenizer knows more entries than its embedding has rows reads memory that is not there; one whose
control ids are wrong writes them into documents as text. Both look fine until they do not, so loading refuses them.
"""

from engine.errors import ContractError
from engine.manifest import Manifest
from engine.vocabulary import Vocabulary


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
    control = manifest.control
    infill = sorted(manifest.fim.control_ids) if manifest.fim is not None else []
    named = {"end": control.end, "begin": [control.begin], "pad": [control.pad], "fill-in-the-middle": infill}
    for role, ids in named.items():
        for token in (i for i in ids if i is not None):
            # Padding may use a row that the tokenizer does not know; it is never fed to the model.
            limit = sizes.embedding if role == "pad" else vocabulary.size
            if token >= limit:
                raise ContractError(f"the {role} id {token} is not below {limit}; export the model again")
    for token in infill:
        if token not in vocabulary.control_ids:
            raise ContractError(
                f"the fill-in-the-middle id {token} is ordinary text in the tokenizer; export the model again"
            )
