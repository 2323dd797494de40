"""Typing along a completion shows the rest of it; typing anything else does not."""

from dataclasses import replace

from engine import Completion, HealingReport, StopReason
from lsp_server.scheduling.completion_cache import KEPT, MORE_FROM_CHARACTERS, CompletionCache
from lsp_server.scheduling.cursor_context import LOOK_BACK_CHARACTERS, Asker, CursorContext, cursor_context
from lsp_server.settings import Settings

REPORT = HealingReport("exact", "", 0, 1, 0.0)
BEFORE = "x = 1\n" * 600
ASKER = Asker(Settings(), 1, 3, automatic=True)


def at(typed: str, suffix: str = "\n", uri: str = "file:///a.py", asker: Asker = ASKER) -> CursorContext:
    return cursor_context(uri, asker, BEFORE + typed, suffix)


def completion(text: str, stop: StopReason = "line") -> Completion:
    return Completion(text, -1.0, 3, stop, REPORT)


def shown(*texts: str, stop: StopReason = "line") -> CompletionCache:
    memory = CompletionCache()
    memory.remember(at("import n"), tuple(completion(text, stop) for text in texts))
    return memory


def texts(completions: tuple[Completion, ...] | None) -> list[str] | None:
    return None if completions is None else [c.text for c in completions]


def test_following_shows_the_rest():
    memory = shown("umpy as np")
    assert texts(memory.look_up(at("import nu"))) == ["mpy as np"]
    assert texts(memory.look_up(at("import numpy as "))) == ["np"]


def test_deleting_shows_what_was_there():
    memory = shown("umpy as np")
    assert texts(memory.look_up(at("import nu"))) == ["mpy as np"]
    assert texts(memory.look_up(at("import nux"))) is None
    assert texts(memory.look_up(at("import nu"))) == ["mpy as np"]
    assert texts(memory.look_up(at("import n"))) == ["umpy as np"]
    assert memory.look_up(at("import ")) is None


def test_leaving_shows_nothing():
    memory = shown("umpy as np")
    assert memory.look_up(at("import na")) is None
    assert memory.look_up(at("import numpy as np")) is None, "it is typed out"


def test_only_the_best_is_followed_but_others_that_agree_come_along():
    memory = shown("umpy as np", "umbers", "ames")
    assert texts(memory.look_up(at("import num"))) == ["py as np", "bers"]
    assert memory.look_up(at("import na")) is None


def test_who_wants_one_gets_the_best_of_several():
    memory = shown("umpy as np", "umbers")
    one = replace(ASKER, candidates=1)
    assert texts(memory.look_up(at("import num", asker=one))) == ["py as np"]
    memory.remember(at("x", asker=one), (completion("yz"),))
    assert memory.look_up(at("x")) is None


def test_another_place_document_setting_model_or_suffix_is_another_question():
    memory = shown("umpy as np")
    assert memory.look_up(at("import nu", suffix="x\n")) is None
    assert memory.look_up(at("import nu", uri="file:///b.py")) is None
    assert memory.look_up(at("import nu", asker=replace(ASKER, model=2))) is None
    assert memory.look_up(at("import nu", asker=replace(ASKER, settings=Settings(multi_line=True)))) is None
    assert memory.look_up(cursor_context("file:///a.py", ASKER, "y" + BEFORE[1:] + "import nu", "\n")) is not None
    assert memory.look_up(cursor_context("file:///a.py", ASKER, BEFORE + "\nimport nu", "\n")) is None


def test_a_closer_that_the_editor_put_in_is_left_out():
    memory = CompletionCache()
    memory.remember(at("f"), (completion("(x, y)"),))
    assert texts(memory.look_up(at("f(", suffix=")\n"))) == ["x, y"]
    assert texts(memory.look_up(at("f(x", suffix=")\n"))) == [", y"]
    assert memory.look_up(at("f(x, y", suffix=")\n")) is None


def test_of_what_was_broken_off_the_rest_is_shown_while_it_is_long():
    for stop in ("length", "budget", "context"):
        memory = shown("u" * (MORE_FROM_CHARACTERS + 2), stop=stop)
        assert memory.look_up(at("import nuu")) is not None
        assert memory.look_up(at("import nuuu")) is None
    assert texts(shown("um", stop="budget").look_up(at("import n"))) == ["um"], "nothing was typed yet"
    assert texts(shown("um", stop="cut").look_up(at("import nu"))) == ["m"], "it is known that no more belongs there"


def test_that_there_is_nothing_to_say_is_known_for_the_same_question_only():
    memory = shown()
    assert memory.look_up(at("import n")) == ()
    assert memory.look_up(at("import nu")) is None
    by_hand = replace(ASKER, automatic=False)
    assert memory.look_up(at("import n", asker=by_hand)) is None
    assert memory.look_up(at("import n", asker=replace(ASKER, candidates=1))) is None


def test_it_looks_back_a_bounded_way():
    memory = CompletionCache()
    long = "a" * (LOOK_BACK_CHARACTERS + 2)
    memory.remember(at(""), (completion(long),))
    assert memory.look_up(at(long[:LOOK_BACK_CHARACTERS])) is not None
    assert memory.look_up(at(long[: LOOK_BACK_CHARACTERS + 1])) is None


def test_what_was_not_used_for_longest_goes_first():
    memory = CompletionCache()
    for number in range(KEPT):
        memory.remember(at(f"{number} "), (completion("b"),))
    assert memory.look_up(at("0 ")) is not None
    memory.remember(at("new "), (completion("b"),))
    assert len(memory) == KEPT
    assert memory.look_up(at("0 ")) is not None
    assert memory.look_up(at("1 ")) is None
    assert memory.characters < KEPT * 3000


def test_the_same_place_is_kept_once():
    memory = shown("umpy")
    memory.remember(at("import n"), (completion("ame"),))
    assert len(memory) == 1
    assert texts(memory.look_up(at("import na"))) == ["me"]


def test_a_closed_document_is_forgotten():
    memory = shown("umpy as np")
    memory.forget("file:///b.py")
    assert memory.look_up(at("import nu")) is not None
    memory.forget("file:///a.py")
    assert memory.look_up(at("import nu")) is None
    assert len(memory) == 0
