"""The editor's side against a server whose answers, and their times, the test decides."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from benchmarks.keystrokes.editor import NEOVIM_WAIT_S, Editor, Habit, TypingSession
from benchmarks.keystrokes.server_process import Reply, ServerProcess
from benchmarks.keystrokes.typing_model import Key

pytestmark = pytest.mark.asyncio
OS_PATH = "os.path.join"


class Scripted:
    """Stands in for the server: records the messages; `answer` sends an answer."""

    def __init__(self) -> None:
        self.text = ""
        self.sent: list[str] = []
        self.commands: list[Any] = []
        self.told: list[Any] = []
        self.places: list[dict[str, int]] = []
        self.waiting: dict[int, asyncio.Future[Reply]] = {}
        self._clock = 0.0
        self.on_more: Callable[[dict[str, Any]], None] = lambda place: None

    def ask(self, method: str, params: Any) -> tuple[int, "asyncio.Future[Reply]"]:
        number = len(self.sent)
        self.sent.append(method)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if method == "workspace/executeCommand":
            self.commands.append(params)
        else:
            self.waiting[number] = future
            self.places.append(params["position"])
        return number, future

    def notify(self, method: str, params: Any) -> None:
        self.sent.append(method)
        self.told.append(params)
        if method == "textDocument/didOpen":
            self.text = params["textDocument"]["text"]
        for change in params.get("contentChanges", ()):
            start, end = (self._index(change["range"][name]) for name in ("start", "end"))
            self.text = self.text[:start] + change["text"] + self.text[end:]

    def cancel(self, number: int) -> None:
        self.sent.append("cancel")
        self.waiting.pop(number).set_result(Reply(0.0, {"code": -32800}, True))

    async def answer(self, *texts: str, back: int = 0, number: int | None = None, **more: Any) -> None:
        """Answer the latest request, or the one with a given number, with items that replace ``back`` units before its
        cursor.
        """
        number = max(self.waiting) if number is None else number
        place = self.places[-1]
        span = {"start": {**place, "character": place["character"] - back}, "end": place}
        items = [{"insertText": text, "range": span, **more} for text in texts]
        self.waiting.pop(number).set_result(Reply(0.0, {"items": items}, False))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def _index(self, place: dict[str, int]) -> int:
        lines = self.text.split("\n")
        before = lines[place["line"]].encode("utf-16-le")[: 2 * place["character"]].decode("utf-16-le")
        return sum(len(line) + 1 for line in lines[: place["line"]]) + len(before)


def editor_of(habit: Habit = "vscode") -> tuple[Editor, Scripted, TypingSession]:
    server, session = Scripted(), TypingSession()
    return Editor(cast(ServerProcess, server), "file:///a.py", habit, session), server, session


def type_in(editor: Editor, text: str) -> None:
    for letter in text:
        editor.press(Key("type", insert=letter))


async def test_the_server_has_the_text_that_the_editor_has():
    editor, server, session = editor_of()
    editor.open("s = '😀'\nx", "\nend")
    type_in(editor, "é😀y")
    editor.press(Key("delete", 1))
    editor.press(Key("enter", insert="\n    "))
    editor.press(Key("enter", 4, "\n    "))
    assert server.text == editor.before + editor.after == "s = '😀'\nxé😀\n\n    \nend"
    assert server.places[1:3] == [{"line": 1, "character": 4}, {"line": 1, "character": 5}]
    assert len(session.requests) == 6


async def test_vscode_cancels_what_is_open_and_asks_at_once():
    editor, server, session = editor_of()
    editor.open("", "")
    type_in(editor, "ab")
    assert server.sent == [
        "textDocument/didOpen",
        "midtoken/didFocus",
        "textDocument/didChange",
        "textDocument/inlineCompletion",
        "textDocument/didChange",
        "cancel",
        "textDocument/inlineCompletion",
    ]
    await server.answer("abc", back=2)
    assert [request.stale for request in session.requests] == [True, False]
    assert [request.cancelled_s is None for request in session.requests] == [False, True]
    assert editor.ghost_text == "c"
    assert not editor.busy


async def test_it_asks_again_where_it_still_is_when_there_is_more():
    editor, server, session = editor_of()
    editor.open("", "")
    type_in(editor, "a")
    await server.answer("abc", back=1)
    here = {"textDocument": {"uri": "file:///a.py", "version": 1}, "position": {"line": 0, "character": 1}}
    server.on_more({**here, "position": {"line": 1, "character": 0}})
    server.on_more({**here, "textDocument": {"uri": "file:///a.py", "version": 0}})
    assert not server.waiting
    server.on_more(here)
    await server.answer("abc(d)", back=1)
    assert editor.ghost_text == "bc(d)"
    assert [request.again for request in session.requests] == [False, True]


async def test_neovim_waits_for_a_pause_and_cancels_nothing():
    editor, server, session = editor_of("neovim")
    editor.open("", "")
    type_in(editor, "ab")
    assert server.sent.count("textDocument/inlineCompletion") == 0
    assert editor.busy
    while editor._timer:
        await asyncio.sleep(NEOVIM_WAIT_S / 10)
    type_in(editor, "c")
    while editor._timer:
        await asyncio.sleep(NEOVIM_WAIT_S / 10)
    first, second = sorted(server.waiting)
    await server.answer("abcd", back=3, number=second)
    await server.answer(number=first)
    assert "cancel" not in server.sent
    assert editor.ghost_text == "d"
    assert [request.stale for request in session.requests] == [True, False]


async def test_ghost_text_is_typed_along_and_comes_back_after_a_deletion():
    editor, server, session = editor_of()
    editor.open("os", "")
    type_in(editor, ".")
    await server.answer(OS_PATH, back=3)
    assert editor.ghost_text == "path.join"
    type_in(editor, "p")
    assert editor.ghost_text == "ath.join"
    editor.press(Key("delete", 1))
    assert editor.ghost_text == "path.join"
    await server.answer(OS_PATH, back=3)
    assert (session.suggestions, session.followed, session.withdrawn) == (1, 1, 0)
    type_in(editor, "x")
    assert editor.ghost_text == ""


@pytest.mark.parametrize(("answer", "withdrawn"), [(("os.pipe",), 1), ((), 1), ((OS_PATH + "(x)",), 0)])
async def test_what_changes_although_it_is_typed_is_counted(answer, withdrawn):
    editor, server, session = editor_of()
    editor.open("os", "")
    type_in(editor, ".")
    await server.answer(OS_PATH, back=3)
    type_in(editor, "p")
    await server.answer(*answer, back=4)
    assert session.withdrawn == withdrawn
    assert editor.ghost_text == (answer[0].removeprefix("os.p") if answer else "")


async def test_acceptance_replaces_the_range_and_runs_the_command():
    editor, server, _ = editor_of()
    editor.open("os.pa", ")")
    type_in(editor, "t")
    command = {"title": "accept", "command": "midtoken.server.accept", "arguments": ["7"]}
    await server.answer("path.join(x", back=3, command=command)
    editor.press(Key("accept", insert=editor.ghost_text))
    assert server.text == "os.path.join(x)"
    assert editor.ghost_text == ""
    assert server.commands == [{"command": "midtoken.server.accept", "arguments": ["7"]}]
    assert server.places[-1] == {"line": 0, "character": 14}


async def test_a_word_of_it_can_be_accepted_and_the_rest_stays():
    editor, server, _ = editor_of()
    editor.open("", "")
    type_in(editor, "r")
    command = {"title": "accept", "command": "midtoken.server.accept", "arguments": ["7"]}
    await server.answer("return x", back=1, command=command)
    editor.press(Key("accept word", insert="eturn"))
    assert server.text == "return"
    assert editor.ghost_text == " x"
    item = {"insertText": "return x", "command": command}
    assert {"item": item, "acceptedLength": 6} in server.told


async def test_what_is_put_away_stays_away_until_the_next_answer():
    editor, server, session = editor_of()
    editor.open("", "")
    type_in(editor, "r")
    await server.answer("return", back=1)
    asked = len(session.requests)
    editor.press(Key("dismiss"))
    assert editor.ghost_text == ""
    assert len(session.requests) == asked


async def test_settling_waits_for_the_last_answer():
    editor, server, session = editor_of()
    editor.open("", "")
    type_in(editor, "r")
    settling = asyncio.ensure_future(editor.settle())
    await asyncio.sleep(0)
    assert not settling.done()
    await server.answer()
    await settling
    assert session.requests[0].answered_s is not None
