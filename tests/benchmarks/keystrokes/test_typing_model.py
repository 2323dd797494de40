import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.keystrokes.typing_model import Hand, Key, Typist

CODE = "def first(path):\n    if path:\n        return path\n\n    raise ValueError(path)\nx = 1"


def type_all(typist: Typist, ghost: str = "", visible_s: float = 0.0) -> list[Key]:
    """Type to the end while the same ghost text is shown. Every key has its recorded effect."""
    keys, text = [], ""
    while not typist.done:
        keys.append(key := typist.press(ghost, visible_s))
        assert key.remove <= len(text)
        text = text[: len(text) - key.remove] + key.insert
        assert text == typist.written
    return keys


@given(st.text("ab \n:(\té", max_size=60), st.integers(0, 50), st.sampled_from(["    ", "\t"]))
def test_any_text_is_typed_to_its_end(text, seed, indent):
    typist = Typist(text, Hand(typo_share=0.3), str(seed), indent)
    type_all(typist)
    assert typist.written == text


def test_the_seed_and_the_place_decide_about_everything():
    runs = [[(k.kind, k.insert) for k in type_all(Typist(CODE, Hand(typo_share=0.2), "7"))] for _ in range(2)]
    assert runs[0] == runs[1]
    other = [(k.kind, k.insert) for k in type_all(Typist(CODE, Hand(typo_share=0.2), "8"))]
    assert other != runs[0]


def test_without_typos_there_is_a_key_for_each_character_but_for_what_the_editor_indents():
    keys = type_all(Typist(CODE, Hand(typo_share=0), "0"))
    assert [key.insert for key in keys if key.kind == "enter"] == [
        "\n    ",
        "\n        ",
        "\n        ",
        "\n        ",  # in place of the white space on the line that stays empty
        "\n    ",
    ]
    assert [key for key in keys if key.kind == "delete"] == [Key("delete", 4), Key("delete", 4)]
    assert {key.insert for key in keys if key.kind == "type"} <= set(CODE)


def test_a_typo_is_noticed_a_little_later_and_taken_back():
    typist = Typist("reproduce", Hand(typo_share=1), "3")
    keys = type_all(typist)
    slips = [index for index, key in enumerate(keys) if key.kind == "slip"]
    assert slips
    for index in slips:
        following = [key.kind for key in keys[index + 1 :]]
        more = following.index("delete")
        assert more <= 2
        assert following[more : 2 * more + 1] == ["delete"] * (more + 1)


@pytest.mark.parametrize(
    ("ghost", "visible_s", "key"),
    [
        ("turn x", 1.0, Key("accept", insert="turn x")),
        ("turn x", 0.1, Key("type", insert="t")),
        ("turn xy", 1.0, Key("accept word", insert="turn")),
        ("t", 1.0, Key("type", insert="t")),
        ("tired", 1.0, Key("type", insert="t")),
        ("", 1.0, Key("type", insert="t")),
    ],
)
def test_ghost_text_is_taken_where_it_has_been_seen_and_is_right(ghost, visible_s, key):
    typist = Typist("return x", Hand(typo_share=0), "0")
    typist.press("", 0)
    typist.press("", 0)
    assert typist.press(ghost, visible_s) == key


def test_wrong_ghost_text_is_put_away_now_and_then():
    typist = Typist("x" * 400, Hand(typo_share=0, dismiss_share=0.25), "0")
    kinds = [key.kind for key in type_all(typist, "wrong", 1.0)]
    assert 60 < kinds.count("dismiss") < 140
    assert kinds.count("type") == 400


def test_pauses_are_those_of_a_person():
    typist = Typist(CODE * 30, Hand(typo_share=0), "0")
    inside, lines = [], []
    while not typist.done:
        pause = typist.pause()
        assert pause == typist.pause(), "asking twice changes nothing"
        line = typist.written.rpartition("\n")[2]
        key = typist.press("", 0)
        if key.insert.isalpha() and line[-1:].isalnum():
            inside.append(pause)
        elif not line.strip() and key.kind != "delete":
            lines.append(pause)
    assert 0.11 < statistics.median(inside) < 0.15
    assert max(inside) < 0.6
    assert statistics.median(lines) > 0.35
    assert max(lines) > 1.0
