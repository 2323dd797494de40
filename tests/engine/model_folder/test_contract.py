"""Tokenizer, embedding, head and control ids must agree."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from engine.errors import ContractError
from engine.model_folder.contract import ROUND_TRIPS, check_contract, check_round_trip, clauses
from engine.model_folder.manifest import ControlIds, FimTemplates, Manifest, RepositoryTokens, VocabularySizes
from engine.text.tokenizer import Tokenizer
from engine.text.vocabulary import Vocabulary
from tests.fakes import make_manifest, toy_tokenizer
from tests.toy import TOYS

# 0 to 3 are control tokens, 4 to 7 text.
VOCABULARY = Vocabulary(
    (b"", b"", b"", b"", b"a", b"b", b"c", b"d"), frozenset(range(4)), np.arange(4, 8, dtype=np.int32), 1, "byte-level"
)
FIM = FimTemplates(templates={"psm": (1, "prefix", 2, "suffix", 3)}, default="psm")


def changed(**fields: Any) -> Manifest:
    return dataclasses.replace(make_manifest(8, fim=FIM), **fields)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(changed(), id="exactly fitting"),
        pytest.param(changed(vocabulary=VocabularySizes(8, 64, 64)), id="padded head and embedding"),
        pytest.param(changed(control=ControlIds(begin=0, end=(0, 1), pad=0)), id="one id in several roles"),
        pytest.param(changed(control=ControlIds(None, (0,), pad=7), vocabulary=VocabularySizes(8, 8, 8)), id="padding"),
        pytest.param(
            changed(control=ControlIds(None, (0,), pad=9), vocabulary=VocabularySizes(8, 10, 8)), id="pad row"
        ),
        pytest.param(changed(fim=None), id="no fill-in-the-middle"),
    ],
)
def test_parts_that_belong_together_are_accepted(manifest):
    check_contract(manifest, VOCABULARY)


@pytest.mark.parametrize(
    ("manifest", "named"),
    [
        pytest.param(changed(vocabulary=VocabularySizes(9, 9, 9)), "another model", id="another tokenizer"),
        pytest.param(changed(vocabulary=VocabularySizes(7, 8, 8)), "another model", id="a tokenizer that grew"),
        pytest.param(changed(vocabulary=VocabularySizes(8, 7, 8)), "embedding has 7 rows", id="short embedding"),
        pytest.param(changed(vocabulary=VocabularySizes(8, 8, 7)), "output head has 7 rows", id="short head"),
        pytest.param(changed(control=ControlIds(None, (8,))), "end id 8", id="end out of range"),
        pytest.param(changed(control=ControlIds(None, (0, 99))), "end id 99", id="second end out of range"),
        pytest.param(changed(control=ControlIds(8, (0,))), "begin id 8", id="begin out of range"),
        pytest.param(
            changed(control=ControlIds(None, (0,), pad=10), vocabulary=VocabularySizes(8, 10, 10)),
            "pad id 10",
            id="pad outside the embedding",
        ),
        pytest.param(
            changed(fim=dataclasses.replace(FIM, templates={"psm": (1, "prefix", 2, "suffix", 8)})),
            "fill-in-the-middle id 8",
            id="template out of range",
        ),
        pytest.param(
            changed(fim=dataclasses.replace(FIM, templates={"psm": (1, "prefix", 4, "suffix", 3)})),
            "fill-in-the-middle id 4 is ordinary text",
            id="template of ordinary text",
        ),
        pytest.param(
            changed(fim=dataclasses.replace(FIM, templates={**FIM.templates, "spm": (5, "suffix", 3, "prefix")})),
            "fill-in-the-middle id 5 is ordinary text",
            id="the order that is not the default",
        ),
    ],
)
def test_parts_that_disagree_are_refused(manifest, named):
    with pytest.raises(ContractError) as caught:
        check_contract(manifest, VOCABULARY)
    message = str(caught.value)
    assert named in message
    assert "\n" not in message
    assert "export the model again" in message or "belongs to another model" in message


@pytest.mark.parametrize("toy", sorted(TOYS))
def test_code_comes_back_from_its_tokens(toy: str):
    check_round_trip(toy_tokenizer(toy))


@pytest.mark.parametrize("what", [name for name, _ in ROUND_TRIPS])
def test_a_tokenizer_that_loses_text_is_refused(what: str, monkeypatch: pytest.MonkeyPatch):
    tokenizer = toy_tokenizer("byte-level")
    whole = Tokenizer.decode_bytes
    lost = dict(ROUND_TRIPS)[what].encode()
    monkeypatch.setattr(
        Tokenizer, "decode_bytes", lambda self, ids: data[:-1] if (data := whole(self, ids)) == lost else data
    )
    with pytest.raises(ContractError, match=f"does not give back {what}"):
        check_round_trip(tokenizer)
    found = {clause.name: clause.value for clause in clauses(changed(), tokenizer)}
    assert [name for name, value in found.items() if value == "lost"] == [f"round trip, {what}"]


def found_in(**fields: Any) -> dict[str, tuple[str, str]]:
    return {c.name: (c.value, c.note) for c in clauses(changed(**fields), toy_tokenizer("byte-level"))}


def test_the_clauses_say_what_was_found():
    found = found_in(
        vocabulary=VocabularySizes(8, 10, 10, tied=True, untrained=tuple(range(1, 10))),
        control=ControlIds(begin=None, end=(0, 3), pad=3),
        repository=RepositoryTokens(file=1, repository=2),
    )
    assert found["head rows"] == ("10", "2 padding rows are never chosen")
    assert found["embedding and head"] == ("tied", "")
    assert found["begin"] == ("none", "texts begin without one")
    assert found["end"] == ("0, 3", "")
    assert found["padding"] == ("3", "equals an end")
    assert found["untrained entries"][0] == "9"
    assert "1, 2, 3, 4, 5, 6, 7, 8, ..." in found["untrained entries"][1]
    assert found["fill in the middle, psm"] == ("1 prefix 2 suffix 3", "default")
    assert found["files and repositories"] == ("1, 2", "")


def test_the_clauses_of_a_plain_model():
    found = found_in(fim=None)
    assert found["fill in the middle"] == ("none", "completes from the text before the cursor alone")
    assert found["embedding and head"] == ("not looked at", "")
    assert found["untrained entries"] == ("not looked at", "")
    assert found["head rows"] == ("8", "")


def test_a_repository_token_that_is_ordinary_text():
    with pytest.raises(ContractError, match="the repository id 5 is ordinary text"):
        check_contract(changed(repository=RepositoryTokens(file=5)), VOCABULARY)
