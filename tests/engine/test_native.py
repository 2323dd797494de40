"""The baseline `native` beside `exact`: if there is nothing to heal and the prompts are equal, so are the texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import BaselineMode, HealingMode, HealingParams, StopParams
from engine.model_folder.manifest import FimOrder
from engine.text.vocabulary import Vocabulary
from engine.types import CompletionRequest
from tests.fakes import control_ids, fake_completer, hash_model, toy_fim, toy_tokenizer
from tests.strategies import code_text
from tests.toy import TOYS

TOKENS = 6
BYTE_LEVEL = ("byte-level", "superword", "plain")
SUFFIX = "\nx = 1\n"


def asked(prefix: str, order: str, mode: HealingMode | BaselineMode) -> CompletionRequest:
    # The token that ends the typed text counts if it is chosen again, as in `exact`.
    most = TOKENS + (mode == "exact")
    healing = HealingParams(mode=mode)
    return CompletionRequest(
        prefix, SUFFIX if order == "spm" else "", healing=healing, stop=StopParams(max_new_tokens=most)
    )


def crosses(vocabulary: Vocabulary, text: bytes) -> bool:
    """Whether some entry begins within ``text`` and continues past its end."""
    ends = [text[at:] for at in range(max(0, len(text) - vocabulary.longest), len(text))]
    entries = [vocabulary.token_bytes[token] for token in vocabulary.candidate_ids.tolist()]
    return any(len(entry) > len(end) and entry.startswith(end) for end in ends for entry in entries)


@given(
    name=st.sampled_from(BYTE_LEVEL),
    prefix=code_text(6).filter(bool),
    order=st.sampled_from(["plain", "spm"]),
    salt=st.integers(0, 50),
)
def test_exact_is_native_to_the_token_but_where_a_token_crosses_the_cursor(
    name: str, prefix: str, order: str, salt: int
):
    """Always at a true boundary, which no entry crosses. Elsewhere if `exact` chooses no entry that crosses it."""
    tokenizer = toy_tokenizer(name)
    fim = toy_fim(tokenizer, "spm") if order == "spm" else None
    model, begin = hash_model(tokenizer.vocabulary.size, salt=salt), control_ids(tokenizer)[0]
    completer, _ = fake_completer(tokenizer, model, begin=begin, fim=fim)
    exact, native = (asked(prefix, order, mode) for mode in ("exact", "native"))
    build = completer._reader.prompts.build
    assert build(exact).ids.tolist() == build(native).ids.tolist()
    covers = completer.trace(exact).covers
    crossing = any(cover.chosen and len(cover.data) > cover.typed for cover in covers)
    if not crosses(tokenizer.vocabulary, prefix.encode()):
        assert not crossing
    if not crossing:
        written, other = (
            [(found.text, found.stop) for found in completer.complete(request).completions]
            for request in (exact, native)
        )
        assert written == other


@pytest.mark.parametrize("name", sorted(TOYS))
@pytest.mark.parametrize("order", ["psm", "spm"])
def test_native_uses_the_template_where_nothing_follows_as_other_tools_do(name: str, order: FimOrder):
    tokenizer = toy_tokenizer(name)
    fim = toy_fim(tokenizer, order)
    completer, _ = fake_completer(tokenizer, fim=fim)
    controls = {part for part in fim.templates[fim.default] if isinstance(part, int)}
    for suffix in ("", "\n"):
        native = CompletionRequest("x = se", suffix, healing=HealingParams(mode="native"))
        assert controls <= set(completer._reader.prompts.build(native).ids.tolist())
        assert not controls & set(completer._reader.prompts.build(CompletionRequest("x = se", suffix)).ids.tolist())
