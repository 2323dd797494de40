"""llama.cpp's plugin for VS Code, as far as typing is concerned: a peer of our server with the same interface for an
`Editor`.

It behaves as llama.vscode 0.0.63 does with its default settings, according to its source:

- The prompt is cut at the cursor: the 256 lines above, the cursor's line up to the cursor, the rest of the line and 64
  lines below. The line is left out where it is white space only, and that much is taken off the answer.
- One request at a time. A later request checks again every 150 ms, and gives up once its own key is no longer the last.
  A request that was sent is never cancelled.
- Each has 500 ms for reading and 500 ms for writing, at most 128 tokens, drawn by the samplers top-k 40, top-p 0.99
  and infill; the server keeps its prompt (``cache_prompt``).
- Answers are remembered, and typing along an answer needs no request. After each answer, the next one is requested in
  advance.
- There is no request with more than 8 characters after the cursor in its line. Answers that repeat the text below, or
  are empty, are dropped.

Pieces of other places in the project, which the plugin would have to read, are left out. With one document there are
hardly any.
"""

import asyncio
import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.keystrokes.accounts import Call
from benchmarks.keystrokes.observed_server import CONTEXT_CHARACTERS
from benchmarks.keystrokes.server_process import Reply
from benchmarks.llama_cpp import BATCH_TOKENS, post

LINES_ABOVE, LINES_BELOW = 256, 64
MOST_BEHIND_CURSOR = 8
POLL_S = 0.15
REMEMBERED = 250
SEED = 0
REQUEST: Mapping[str, Any] = {
    "id_slot": 0,
    "n_predict": 128,
    "top_k": 40,
    "top_p": 0.99,
    "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 500,
    "seed": SEED,  # the plugin gives none; we do, so that a replay can be repeated
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent: the lines above, the cursor's line up to the cursor, and the text after it. ``cut`` characters
    were left out.
    """

    above: str
    line: str
    below: str
    cut: int = field(default=0, compare=False)

    @classmethod
    def at(cls, before: str, after: str) -> "Prompt":
        """The prompt for a document with the cursor between the two."""
        *above, line = before.split("\n")
        rest, *below = after.split("\n")
        is_blank = not line.strip(" \t")
        return cls(
            "".join(f"{each}\n" for each in above[-LINES_ABOVE:]) or "\n",
            "" if is_blank else line,
            "\n".join([rest, *below[:LINES_BELOW]]) + "\n",
            len(line) if is_blank else 0,
        )

    def following(self, lines: Sequence[str]) -> "Prompt":
        """The prompt after an answer with these lines (at least one) was inserted."""
        written = (self.line + "\n".join(lines)).split("\n")
        above = (self.above.removesuffix("\n").split("\n") + written[:-1])[-LINES_ABOVE:]
        return Prompt("".join(f"{each}\n" for each in above), written[-1], self.below)


class Plugin:
    """Takes what an `Editor` sends, asks llama.cpp's server on ``port``, and answers as a language server would.

    One document at a time.
    """

    def __init__(self, port: int) -> None:
        self.calls: list[Call] = []
        """The calls of the model. Those made in advance have the outcome ``ahead``."""
        self.on_more: Callable[[dict[str, Any]], None] = lambda place: None
        """Never called: its server says all or nothing."""
        self._port = port
        self._text = ""
        self._remembered: dict[Prompt, str] = {}
        self._number = 0
        self._given_up: set[int] = set()
        self._in_progress = False
        self._tasks: set[asyncio.Task[None]] = set()

    def notify(self, method: str, params: Any) -> None:
        """Follow the changes of the document."""
        if method == "textDocument/didOpen":
            self._text = params["textDocument"]["text"]
        elif method == "textDocument/didChange":
            for change in params["contentChanges"]:
                span = change["range"]
                start, end = self._offset(span["start"]), self._offset(span["end"])
                self._text = self._text[:start] + change["text"] + self._text[end:]

    def ask(self, method: str, params: Any) -> tuple[int, "asyncio.Future[Reply]"]:
        """Answer a question for ghost text; other requests are answered with null."""
        self._number += 1
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if method != "textDocument/inlineCompletion":
            future.set_result(Reply(time.monotonic(), None, failed=False))
            return self._number, future
        at = self._offset(params["position"])
        self._begin(self._answer(self._number, self._text[:at], self._text[at:], params["position"], future))
        return self._number, future

    def cancel(self, number: int) -> None:
        """The editor no longer waits. Only a request that still waits for another one reacts to this."""
        self._given_up.add(number)

    @property
    def busy(self) -> bool:
        """Whether any request is running, including those in advance."""
        return bool(self._tasks)

    async def settle(self) -> None:
        """Wait until no request is running."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(
        self, number: int, before: str, after: str, place: dict[str, int], future: "asyncio.Future[Reply]"
    ) -> None:
        text = ""
        try:
            text = await self._completed(number, before, after)
        finally:
            items = [{"insertText": text, "range": {"start": place, "end": place}}] if text else []
            if not future.cancelled():
                future.set_result(Reply(time.monotonic(), items, failed=False))

    async def _completed(self, number: int, before: str, after: str) -> str:
        while self._in_progress:
            await asyncio.sleep(POLL_S)
            if number in self._given_up:
                return ""
        if len(after.partition("\n")[0]) > MOST_BEHIND_CURSOR:
            return ""
        prompt = Prompt.at(before, after)
        self._in_progress = True
        try:
            known = self._known(prompt)
            found = known if known is not None else await self._request(prompt, before, "finished")
        finally:
            self._in_progress = False
        lines = _without_blank_end(found)
        if not lines or repeats(lines, before, after):
            return ""
        text = fitted(lines, after.partition("\n")[0])
        if known is None:
            self._remember(prompt, text)
        if number not in self._given_up and not after.partition("\n")[0].strip():
            self._begin(self._look_ahead(prompt, before, lines))
        return _without_indentation(text, prompt.cut)

    async def _look_ahead(self, prompt: Prompt, before: str, lines: Sequence[str]) -> None:
        """Request what would follow an answer, and remember its later lines for when the first is accepted."""
        following = prompt.following(lines)
        if following not in self._remembered:
            found = await self._request(following, before + "\n".join(lines), "ahead")
            if found.strip():
                self._remember(following, "\n".join(_without_blank_end(found)))
        if len(lines) > 1:
            self._remembered.setdefault(prompt.following([lines[0], ""]), "\n".join(lines[1:]))

    async def _request(self, prompt: Prompt, before: str, outcome: str) -> str:
        indentation = len(prompt.line) - len(prompt.line.lstrip())
        asked = {
            **REQUEST,
            "input_prefix": prompt.above,
            "prompt": prompt.line,
            "input_suffix": prompt.below,
            **({"n_indent": indentation} if indentation else {}),
        }
        started = time.monotonic()
        try:
            answer = await asyncio.to_thread(post, self._port, "/infill", asked)
        except (OSError, http.client.HTTPException, ValueError):  # the plugin shows a message, and no completion
            answer, outcome = {}, "failed"
        text, took = str(answer.get("content", "")), answer.get("timings", {})
        read, written = int(took.get("prompt_n", 0)), int(took.get("predicted_n", 0))
        # One pass reads at most a batch, and the last pass writes the first token.
        passes = (started,) * (-(-read // BATCH_TOKENS) + max(0, written - 1))
        context = before[-CONTEXT_CHARACTERS:]
        self.calls.append(Call(context, started, time.monotonic(), outcome, (text,), text, passes, read, written))
        return text

    def _known(self, prompt: Prompt) -> str | None:
        """A remembered answer for this place, or for an earlier place in the line if it was typed along since."""
        for end in range(len(prompt.line), -1, -1):
            earlier = self._remembered.get(Prompt(prompt.above, prompt.line[:end], prompt.below))
            typed = prompt.line[end:]
            if earlier and earlier.startswith(typed) and len(earlier) > len(typed):
                return earlier[len(typed) :]
        return None

    def _remember(self, prompt: Prompt, text: str) -> None:
        self._remembered[prompt] = text
        while len(self._remembered) > REMEMBERED:
            del self._remembered[next(iter(self._remembered))]

    def _offset(self, position: Mapping[str, int]) -> int:
        lines = self._text.split("\n")
        start = sum(len(line) + 1 for line in lines[: position["line"]])
        units = lines[position["line"]].encode("utf-16-le")[: 2 * position["character"]]
        return start + len(units.decode("utf-16-le"))


def repeats(lines: Sequence[str], before: str, after: str) -> bool:
    """Whether an answer is dropped: it is empty, or repeats the text after the cursor or the next lines."""
    behind, *below = after.split("\n")
    if len(lines) == 1 and not lines[0].strip():
        return True
    if not below:
        return False
    if len(lines) > 1 and lines[0].strip() in ("", behind.strip()) and list(lines[1:]) == below[: len(lines) - 1]:
        return True
    if len(lines) == 1 and lines[0] == behind:
        return True
    following = [number for number, line in enumerate(below) if line.strip()]
    if not following or before.rpartition("\n")[2] + lines[0] != below[following[0]]:
        return False
    rest = below[following[0] + 1 :]
    if len(lines) <= 2:
        return len(lines) == 1 or "".join(rest[:1]).startswith(lines[1])
    return list(lines[1:]) == rest[: len(lines) - 1]


def fitted(lines: Sequence[str], behind: str) -> str:
    """An answer cut to what fits before the rest of the cursor's line."""
    if behind.strip():
        if lines[0].endswith(behind):
            return lines[0][: -len(behind)]
        return lines[0]
    return "\n".join(lines)


def _without_blank_end(text: str) -> list[str]:
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _without_indentation(text: str, most: int) -> str:
    kept = text.lstrip(" \t")
    return text[min(most, len(text) - len(kept)) :]
