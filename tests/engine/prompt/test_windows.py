"""Windows of text and tokens: within the budget, with the same start from one keystroke to the next."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.prompt.fim import PromptParts
from engine.prompt.windows import (
    ANCHOR_CHARACTERS_PER_TOKEN,
    ANCHOR_LEAST_LINES,
    ANCHOR_SHARE,
    ANCHOR_STEP_LINES,
    CHARACTERS_PER_TOKEN,
    EXTRA_SHARE,
    JUMP_SHARE,
    SUFFIX_SHARE,
    anchor_of,
    end_window,
    fit,
    pieces_that_fit,
    prefix_window,
    room_for_extra,
    suffix_window,
)

budgets = st.integers(1, 60)
texts = st.text(alphabet="ab \n😀", max_size=900)
counts = st.integers(0, 150)


def parts(context: int, tail: int, suffix: int) -> PromptParts:
    """Parts with distinct tokens, so that a cut shows where it was made."""
    return PromptParts(tuple(range(context)), tuple(range(1000, 1000 + tail)), tuple(range(2000, 2000 + suffix)))


def changes(values: Iterable[object]) -> int:
    return sum(a != b for a, b in pairwise(values))


# --- windows of text -------------------------------------------------------------------------------------------------


@given(texts, budgets)
@example("a" * 9, 1)
def test_the_prefix_window_is_an_end_of_the_prefix_within_the_limit(prefix, budget):
    window = prefix_window(prefix, budget)
    assert prefix.endswith(window)
    assert len(window) <= budget * CHARACTERS_PER_TOKEN
    if len(prefix) <= budget * CHARACTERS_PER_TOKEN:
        assert window == prefix
    else:
        assert len(window) >= budget * CHARACTERS_PER_TOKEN // 2 - 2


@given(texts, st.integers(1, 300))
def test_a_window_is_an_end_of_the_text_within_its_characters(text, characters):
    window = end_window(text, characters)
    assert text.endswith(window)
    assert len(window) <= characters
    assert window == text or len(text) > characters


@given(texts, budgets)
def test_the_suffix_window_is_a_beginning_of_the_suffix_within_its_share(suffix, budget):
    window = suffix_window(suffix, budget)
    assert suffix.startswith(window)
    assert len(window) <= budget * SUFFIX_SHARE * CHARACTERS_PER_TOKEN


@pytest.mark.parametrize("line", ["", "x = 1\n", "a long line of code that goes on and on until it ends at last\n"])
def test_typing_moves_the_start_of_the_prefix_window_rarely(line):
    typed = (line or "y") * 2000
    budget = 50  # 400 characters
    lengths = range(500, 1700)
    starts = [n - len(prefix_window(typed[:n], budget)) for n in lengths]
    assert starts == sorted(starts)
    # One jump for every hundred typed characters.
    assert 1 <= changes(starts) <= len(lengths) // 100 + 1


def test_the_prefix_window_starts_at_a_line_where_one_is_near():
    prefix = "".join(f"line {n:03}\n" for n in range(200))
    window = prefix_window(prefix, 20)
    assert window.startswith("line ")
    assert prefix[-len(window) - 1] == "\n"


def test_a_window_of_one_endless_line_is_still_bounded():
    assert 0 < len(prefix_window("x" * 1_000_000, 100)) <= 800


# --- where prefix and middle are cut ---------------------------------------------------------------------------------


@given(texts, st.text(alphabet="ab ", max_size=20), budgets)
def test_the_anchor_is_the_start_of_a_line_and_what_is_typed_on_the_line_does_not_move_it(prefix, typed, budget):
    window = prefix_window(prefix, budget)
    anchor = anchor_of(prefix, window, budget)
    assert anchor == 0 or window[anchor - 1] == "\n"
    assert anchor == anchor_of(prefix + typed, window + typed, budget)
    above = window[anchor : window.rfind("\n") + 1]
    assert len(above) <= int(budget * ANCHOR_SHARE) * ANCHOR_CHARACTERS_PER_TOKEN


@given(st.integers(0, 300), st.integers(0, 40))
def test_the_anchor_stands_so_many_lines_above_or_where_the_window_begins(lines, cut):
    prefix = "".join(f"x{number}\n" for number in range(lines)) + "y = "
    window = "".join(prefix.splitlines(keepends=True)[cut:])
    distance = window[anchor_of(prefix, window, 2000) :].count("\n")
    if distance < min(lines - cut, lines):
        assert ANCHOR_LEAST_LINES <= distance < ANCHOR_LEAST_LINES + ANCHOR_STEP_LINES


@given(st.lists(st.sampled_from(["\n", "x = 1\n", "    return self.value\n"]), min_size=200, max_size=300))
def test_the_anchor_jumps_once_in_so_many_lines(lines):
    anchors = [anchor_of(text, text, 2000) for text in ("".join(lines[:end]) for end in range(len(lines)))]
    assert anchors == sorted(anchors)
    assert changes(anchors) <= len(lines) // ANCHOR_STEP_LINES + 1


def test_the_anchor_comes_nearer_where_lines_are_long():
    text = ("x" * 299 + "\n") * 80
    assert 0 < text[anchor_of(text, text, 2000) :].count("\n") <= 10


# --- what comes from elsewhere ---------------------------------------------------------------------------------------

pieces = st.lists(st.integers(0, 30).map(lambda length: (7,) * length), max_size=8)


@given(pieces, st.integers(0, 60))
def test_pieces_are_taken_whole_and_in_order_as_long_as_there_is_room(given_pieces, room):
    taken = pieces_that_fit(given_pieces, room)
    left, expected = room, 0
    for piece in given_pieces:
        if len(piece) <= left:
            left, expected = left - len(piece), expected + len(piece)
    assert len(taken) == expected <= room


@given(counts, counts, counts, budgets)
def test_pieces_never_take_more_than_their_share_from_a_document(context, tail, suffix, budget):
    room = room_for_extra(parts(context, tail, suffix), budget)
    assert int(budget * EXTRA_SHARE) <= room <= max(int(budget * EXTRA_SHARE), budget - context - tail - suffix)


def test_typing_changes_the_room_for_pieces_rarely():
    rooms = [room_for_extra(parts(n, 5, 10), 100) for n in range(120)]
    assert rooms == sorted(rooms, reverse=True)
    assert changes(rooms) <= 4


# --- budgets of tokens -----------------------------------------------------------------------------------------------


@given(counts, counts, counts, budgets)
def test_fit_never_exceeds_the_budget_and_cuts_only_where_it_says(context, tail, suffix, budget):
    whole = parts(context, tail, suffix)
    fitted = fit(whole, budget)
    assert len(fitted.settled) + len(fitted.tail) + len(fitted.suffix) <= budget
    # The context and the tail lose their starts, the suffix its end.
    assert whole.settled[len(whole.settled) - len(fitted.settled) :] == fitted.settled
    assert whole.tail[len(whole.tail) - len(fitted.tail) :] == fitted.tail
    assert whole.suffix[: len(fitted.suffix)] == fitted.suffix


@given(counts, counts, counts, budgets)
def test_what_clearly_fits_is_left_alone(context, tail, suffix, budget):
    whole = parts(context, tail, suffix)
    # Cuts are made in whole jumps, so up to one jump of the budget may stay unused.
    if context + tail + suffix <= budget - max(1, int(budget * JUMP_SHARE)):
        assert fit(whole, budget) == whole
    if suffix == 0 and context + tail <= budget:
        assert fit(whole, budget) == whole


@given(counts, counts, counts, budgets)
def test_the_tail_is_cut_only_where_nothing_else_is_left(context, tail, suffix, budget):
    fitted = fit(parts(context, tail, suffix), budget)
    if len(fitted.tail) < tail:
        assert fitted.settled == fitted.suffix == ()
        assert len(fitted.tail) == budget


@given(counts, st.integers(100, 150), st.integers(8, 60))
def test_a_long_suffix_gets_its_share_and_no_more_than_is_spare(context, suffix, budget):
    fitted = fit(parts(context, 0, suffix), budget)
    share = int(budget * SUFFIX_SHARE)
    assert len(fitted.suffix) >= share
    assert len(fitted.suffix) <= max(share, budget - min(context, budget))


@pytest.mark.parametrize("suffix", [0, 20, 500], ids=lambda n: f"suffix of {n}")
@pytest.mark.parametrize("tail", [0, 12], ids=lambda n: f"tail of {n}")
def test_typing_moves_the_starts_of_the_windows_rarely(tail, suffix):
    budget, typed = 100, range(1, 600)
    fitted = [fit(parts(n, tail, suffix), budget) for n in typed]
    starts = [n - len(f.settled) for n, f in zip(typed, fitted, strict=True)]
    assert starts == sorted(starts)
    # One jump for every 25 typed tokens.
    assert changes(starts) <= len(typed) // 25 + 1
    assert changes(len(f.suffix) for f in fitted) <= 5


def test_a_growing_tail_moves_the_windows_rarely_too():
    budget = 100
    fitted = [fit(parts(60, n, 500), budget) for n in range(40)]
    assert changes(len(f.settled) for f in fitted) <= 3
    assert changes(len(f.suffix) for f in fitted) <= 3


def test_a_budget_of_one_token_keeps_the_last_of_the_tail():
    assert fit(parts(5, 5, 5), 1) == PromptParts((), (1004,), ())
    assert fit(parts(5, 0, 5), 1).suffix == ()
