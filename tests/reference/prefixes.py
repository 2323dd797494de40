"""The prefix query in its obvious form."""

from engine.text.vocabulary import Vocabulary


def ids_with_prefix(vocabulary: Vocabulary, prefix: bytes) -> list[int]:
    """All candidate ids whose bytes start with ``prefix``, sorted by their bytes."""
    found = [token for token in vocabulary.candidate_ids.tolist() if vocabulary.token_bytes[token].startswith(prefix)]
    return sorted(found, key=lambda token: vocabulary.token_bytes[token])
