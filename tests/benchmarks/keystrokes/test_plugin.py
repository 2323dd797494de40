"""The plugin's habits: its prompts, one request at a time, what it remembers, what it drops."""

import asyncio
from typing import Any

import pytest

from benchmarks.keystrokes import plugin as module
from benchmarks.keystrokes.plugin import Plugin, Prompt, fitted, repeats

ANSWER = {"timings": {"prompt_n": 2000, "predicted_n": 3}}


class Talk:
    """A plugin whose model gives prepared answers; the prompts are recorded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answers = list(answers)
        monkeypatch.setattr(module, "post", self._post)
        monkeypatch.setattr(module, "POLL_S", 0.01)

    def _post(self, port: int, path: str, asked: Any) -> dict[str, Any]:
        self.asked.append(dict(asked))
        return {"content": self._answers.pop(0) if self._answers else "", **ANSWER}


def opened(before: str, after: str) -> Plugin:
    plugin = Plugin(0)
    plugin.notify("textDocument/didOpen", {"textDocument": {"text": before + after}})
    return plugin


def ask(plugin: Plugin, line: int, character: int) -> "asyncio.Future[Any]":
    position = {"line": line, "character": character}
    return plugin.ask("textDocument/inlineCompletion", {"position": position})[1]


async def text_at(plugin: Plugin, line: int, character: int) -> str:
    items = (await ask(plugin, line, character)).result
    await plugin.settle()
    return items[0]["insertText"] if items else ""


class TestPrompt:
    def test_is_cut_at_the_cursor(self):
        prompt = Prompt.at("import os\nx = o", "s\n\ny\n")
        assert (prompt.above, prompt.line, prompt.below) == ("import os\n", "x = o", "s\n\ny\n\n")

    def test_indentation_alone_is_left_out_of_it_and_taken_off_the_answer(self):
        prompt = Prompt.at("def f():\n    ", "\n")
        assert (prompt.line, prompt.cut) == ("", 4)

    def test_has_so_many_lines_on_either_side(self):
        prompt = Prompt.at("a\n" * 300, "\nb" * 100)
        assert prompt.above == "a\n" * module.LINES_ABOVE
        assert prompt.below == "\n" + "b\n" * module.LINES_BELOW

    def test_what_follows_an_answer_of_two_lines(self):
        following = Prompt("a\n", "b", "\n").following(["c", "d"])
        assert (following.above, following.line) == ("a\nbc\n", "d")


def test_the_request_is_the_plugin_s(monkeypatch: pytest.MonkeyPatch):
    talk = Talk(monkeypatch, "turn x")
    plugin = opened("def f(x):\n    re", "\n")
    assert asyncio.run(text_at(plugin, 1, 6)) == "turn x"
    asked = talk.asked[0]
    assert (asked["input_prefix"], asked["prompt"], asked["input_suffix"]) == ("def f(x):\n", "    re", "\n\n")
    assert (asked["n_predict"], asked["t_max_prompt_ms"], asked["t_max_predict_ms"]) == (128, 500, 500)
    assert asked["n_indent"] == 4
    first = plugin.calls[0]
    assert (first.outcome, first.read_tokens, first.written_tokens, len(first.passes)) == ("finished", 2000, 3, 4)


def test_typing_along_needs_no_request_and_the_next_answer_is_asked_for_in_advance(monkeypatch: pytest.MonkeyPatch):
    talk = Talk(monkeypatch, "turn x", "  # done")
    plugin = opened("    re", "\n")

    async def type_it() -> list[str]:
        shown = [await text_at(plugin, 0, 6)]
        for at, letter in enumerate("turn x", 6):
            place = {"line": 0, "character": at}
            change = {"range": {"start": place, "end": place}, "text": letter}
            plugin.notify("textDocument/didChange", {"contentChanges": [change]})
            shown.append(await text_at(plugin, 0, at + 1))
        return shown

    assert asyncio.run(type_it()) == ["turn x", "urn x", "rn x", "n x", " x", "x", "  # done"]
    assert [call.outcome for call in plugin.calls] == ["finished", "ahead", "ahead"]
    assert talk.asked[1]["prompt"] == "    return x"


def test_one_request_at_a_time_and_who_was_overtaken_gives_up(monkeypatch: pytest.MonkeyPatch):
    talk = Talk(monkeypatch, "turn", "urn")
    plugin = opened("    ret", "\n")

    async def race() -> list[Any]:
        first, second, third = (ask(plugin, 0, at) for at in (5, 6, 7))
        plugin.cancel(2)
        return [reply.result for reply in await asyncio.gather(first, second, third)]

    found = asyncio.run(race())
    assert [len(items) for items in found] == [1, 0, 1]
    assert [asked["prompt"] for asked in talk.asked if asked["prompt"] in ("    r", "    re", "    ret")] == [
        "    r",
        "    ret",
    ]


def test_a_request_that_fails_is_an_empty_answer_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch):
    def fails(port: int, path: str, asked: Any) -> dict[str, Any]:
        raise TimeoutError("timed out")

    monkeypatch.setattr(module, "post", fails)
    plugin = opened("    re", "\n")
    assert asyncio.run(text_at(plugin, 0, 6)) == ""
    assert [call.outcome for call in plugin.calls] == ["failed"]
    Talk(monkeypatch, "turn")
    assert asyncio.run(text_at(plugin, 0, 6)) == "turn"


def test_nothing_is_asked_far_from_the_line_s_end(monkeypatch: pytest.MonkeyPatch):
    talk = Talk(monkeypatch, "x")
    assert asyncio.run(text_at(opened("f(", "123456789\n"), 0, 2)) == ""
    assert talk.asked == []


def test_positions_are_in_utf16_units(monkeypatch: pytest.MonkeyPatch):
    talk = Talk(monkeypatch, "x")
    asyncio.run(text_at(opened('s = "😀"; re', "\n"), 0, 12))
    assert talk.asked[0]["prompt"] == 's = "😀"; re'


def test_indentation_that_stands_there_is_taken_off(monkeypatch: pytest.MonkeyPatch):
    Talk(monkeypatch, "    return x")
    assert asyncio.run(text_at(opened("def f(x):\n    ", "\n"), 1, 4)) == "return x"


@pytest.mark.parametrize(
    ("lines", "before", "after", "expected"),
    [
        (["  "], "x", "\n", True),
        (["= 1"], "x ", "\ny = 2\n", False),
        (["= 1"], "x ", "\nx = 1\n", True),
        (["= 1", "y"], "x ", "\n\nx = 1\nyes\n", True),
        (["= 1", "y", "z"], "x ", "\nx = 1\ny\nz\n", True),
        (["= 1", "y", "z"], "x ", "\nx = 1\ny\nq\n", False),
        (["", "y"], "x", "\ny\n", True),
        ([")"], "f(", ")\ny\n", True),
        ([")"], "f(", "", False),
    ],
)
def test_answers_that_repeat_what_stands_there(lines: list[str], before: str, after: str, expected: bool):
    assert repeats(lines, before, after) is expected


@pytest.mark.parametrize(
    ("lines", "behind", "expected"), [(["a)"], ")", "a"), (["a", "b"], ")", "a"), (["a", "b"], "", "a\nb")]
)
def test_what_fits_before_the_rest_of_the_line(lines: list[str], behind: str, expected: str):
    assert fitted(lines, behind) == expected
