"""Prompt lookup against a slow version that tries every place."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.drafting.draft import NO_DRAFT
from engine.drafting.lookup import FIRST_SHARES, LONGEST, MOST_DRAFTED, Lookup, grade_of

SIZE = 5
CONTROL = np.array([True, *[False] * (SIZE - 1)])
tokens = st.lists(st.integers(0, SIZE - 1), max_size=40)


def lookup(source: list[int], settled: int = 0) -> Lookup:
    return Lookup(np.array(source, np.int32), settled, 64, CONTROL)


def slowly(text: list[int], ids: list[int]) -> tuple[list[int], int, bool]:
    """The draft after ``ids``, the length of the match, and whether all places agree; ``text`` ends as ``ids`` do."""
    lengths = {}
    for place in range(len(text) - 1):
        length = 0
        while length < min(LONGEST, place + 1, len(ids)) and text[place - length] == ids[-1 - length]:
            length += 1
        if length:
            lengths[place] = length
    if not lengths or CONTROL[ids[-1]]:
        return [], 0, True
    longest = max(lengths.values())
    places = [place for place, length in lengths.items() if length == longest]
    following = [text[place + 1] for place in places]
    most = max(following.count(token) for token in following)
    common = [token for token in following if following.count(token) == most]
    token = following[-1] if following[-1] in common else min(common)
    place = max(place for place in places if text[place + 1] == token)
    draft = []
    for token in text[place + 1 : place + 1 + MOST_DRAFTED]:
        if CONTROL[token]:
            break
        draft.append(token)
    return draft, longest, len(set(following)) == 1


@given(tokens, tokens, tokens.filter(len))
def test_drafts_are_those_of_trying_every_place(source, settled, written):
    ids = settled + written
    draft = lookup(source, len(settled)).propose(np.array(ids, np.int32))
    expected, length, agreed = slowly(source + written, ids)
    assert list(draft.tokens) == expected
    assert list(draft.grades) == [grade_of(length + n, agreed=agreed) for n in range(len(expected))]


@given(tokens, tokens.filter(len), st.data())
def test_what_was_asked_before_changes_nothing(source, written, data):
    used = lookup(source)
    for _ in range(3):
        used.propose(np.array(data.draw(tokens.filter(len)), np.int32))
    ids = np.array(written, np.int32)
    assert used.propose(ids) == lookup(source).propose(ids)


def test_a_draft_follows_the_longest_match():
    draft = lookup([1, 2, 3, 4, 2, 2]).propose(np.array([4, 1, 2], np.int32))
    assert list(draft.tokens)[:2] == [3, 4]
    assert draft.grades[0] == grade_of(2, agreed=True)


def test_a_completion_drafts_from_its_own_text():
    draft = lookup([]).propose(np.array([1, 2, 3, 1], np.int32))
    assert list(draft.tokens) == [2, 3, 1]


def test_nothing_follows_a_control_token_and_none_is_drafted():
    assert lookup([0, 1, 0, 1]).propose(np.array([0], np.int32)) == NO_DRAFT
    assert list(lookup([1, 2, 0, 3]).propose(np.array([1], np.int32)).tokens) == [2]


def test_every_grade_has_a_first_share():
    grades = {grade_of(length, agreed=agreed) for length in range(1, 30) for agreed in (False, True)}
    assert grades == set(range(len(FIRST_SHARES)))
