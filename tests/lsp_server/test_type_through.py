"""Following a completion shows the rest of it; leaving it does not."""

from dataclasses import replace

from engine import Completion, HealingReport
from lsp_server.settings import Settings
from lsp_server.type_through import KEPT, LOOK_BACK_CHARACTERS, Surroundings, TypeThrough, surroundings

REPORT = HealingReport("exact", "", 0, 1, 0.0)
BEFORE = "x = 1\n" * 600


def at(typed: str, suffix: str = "\n", **changes: object) -> Surroundings:
    where = surroundings("file:///a.py", Settings(), 1, BEFORE + typed, suffix)
    return replace(where, **changes)  # type: ignore[arg-type]


def completion(text: str, stop: str = "line") -> Completion:
    return Completion(text, -1.0, 3, stop, REPORT)  # type: ignore[arg-type]


def shown(*texts: str) -> TypeThrough:
    memory = TypeThrough()
    memory.remember(at("import n"), tuple(map(completion, texts)))
    return memory


def texts(completions: tuple[Completion, ...]) -> list[str]:
    return [c.text for c in completions]


def test_following_shows_the_rest():
    memory = shown("umpy as np")
    assert texts(memory.look_up(at("import nu"))) == ["mpy as np"]
    assert texts(memory.look_up(at("import numpy as "))) == ["np"]


def test_deleting_shows_what_was_there():
    memory = shown("umpy as np")
    assert texts(memory.look_up(at("import nu"))) == ["mpy as np"]
    assert texts(memory.look_up(at("import n"))) == ["umpy as np"]
    assert memory.look_up(at("import ")) == ()


def test_leaving_shows_nothing():
    memory = shown("umpy as np")
    assert memory.look_up(at("import na")) == ()
    assert memory.look_up(at("import numpy as np")) == (), "it is typed out"


def test_only_the_best_is_followed_but_others_that_agree_come_along():
    memory = shown("umpy as np", "umbers", "ames")
    assert texts(memory.look_up(at("import num"))) == ["py as np", "bers"]
    assert memory.look_up(at("import na")) == ()


def test_another_place_document_setting_or_suffix_is_another_question():
    memory = shown("umpy as np")
    assert memory.look_up(at("import nu", suffix=")\n")) == ()
    assert memory.look_up(at("import nu", uri="file:///b.py")) == ()
    assert memory.look_up(at("import nu", candidates=3)) == ()
    assert memory.look_up(at("import nu", settings=Settings(multi_line=True))) == ()
    assert memory.look_up(surroundings("file:///a.py", Settings(), 1, "y" + BEFORE[1:] + "import nu", "\n")) != ()
    assert memory.look_up(surroundings("file:///a.py", Settings(), 1, BEFORE + "\nimport nu", "\n")) == ()


def test_broken_off_completions_are_asked_for_again():
    for stop in ("length", "budget", "context"):
        memory = TypeThrough()
        memory.remember(at("import n"), (completion("umpy as np", stop),))
        assert memory.look_up(at("import nu")) == ()


def test_it_looks_back_a_bounded_way_and_keeps_a_bounded_number():
    memory = TypeThrough()
    long = "a" * (LOOK_BACK_CHARACTERS + 2)
    memory.remember(at(""), (completion(long),))
    assert memory.look_up(at(long[:LOOK_BACK_CHARACTERS])) != ()
    assert memory.look_up(at(long[: LOOK_BACK_CHARACTERS + 1])) == ()
    for number in range(KEPT):
        memory.remember(at(f"{number} "), (completion("b"),))
    assert memory.look_up(at("a")) == ()


def test_a_closed_document_is_forgotten():
    memory = shown("umpy as np")
    memory.forget("file:///b.py")
    assert memory.look_up(at("import nu")) != ()
    memory.forget("file:///a.py")
    assert memory.look_up(at("import nu")) == ()
