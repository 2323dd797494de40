from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from engine import CompletionRequest, Snippet, StopParams
from lsp_server.remote.outgoing import PREFIX_CHARACTERS, SUFFIX_CHARACTERS, outgoing, session_of
from lsp_server.team.protocol import Bounds, TeamRequest, read_request, request_json

STEP_CHARACTERS = PREFIX_CHARACTERS // 4
"""How far the beginning of what is sent moves at once, at most."""
REQUEST = CompletionRequest(
    "def f():\n    ret",
    "\n",
    "python",
    (Snippet("text", "src/secret.py", "# src/secret.py"),),
    "import os",
    frozenset({"os"}),
    path="src/app.py",
    repository="shop",
    budget_ms=300.0,
    reading_ms=20.0,
    context_tokens=512,
    speculation="auto",
)
SENT = {
    "prefix",
    "suffix",
    "language",
    "imports",
    "extra_context",
    "words",
    "only_words",
    "n",
    "max_new_tokens",
    "single_line",
    "min_confidence",
    "stop",
    "healing",
    "strategy",
    "temperature",
    "top_p",
    "budget_ms",
    "speculation",
    "stream",
}


def test_what_is_sent_is_what_the_table_of_the_page_names():
    assert set(request_json(TeamRequest(outgoing(REQUEST, sends_path=False)))) == SENT
    assert set(request_json(TeamRequest(outgoing(REQUEST, sends_path=True)))) == SENT | {"path", "repository"}
    assert len(fields(CompletionRequest)) == 17, "a new field of the request: does it leave the machine?"


def test_no_name_of_a_file_is_sent_unless_it_is_allowed():
    body = str(request_json(TeamRequest(outgoing(REQUEST, sends_path=False))))
    assert not any(name in body for name in ("shop", "app.py", "secret"))
    body = str(request_json(TeamRequest(outgoing(REQUEST, sends_path=True))))
    assert all(name in body for name in ("shop", "app.py", "secret"))


@given(st.text(st.sampled_from("ab\n"), max_size=50), st.integers(0, 3 * PREFIX_CHARACTERS), st.integers(0, 9000))
def test_a_window_around_the_cursor_is_sent(line, before, after):
    prefix, suffix = (f"{line}\n" + "x" * 70 + "\n") * (before // 71), "y" * after
    sent = outgoing(replace(REQUEST, prefix=prefix, suffix=suffix), sends_path=False)
    assert prefix.endswith(sent.prefix)
    assert suffix.startswith(sent.suffix)
    assert len(sent.prefix) <= PREFIX_CHARACTERS
    assert len(sent.suffix) <= SUFFIX_CHARACTERS
    if len(prefix) <= PREFIX_CHARACTERS:
        assert sent.prefix == prefix
    else:
        assert len(sent.prefix) > PREFIX_CHARACTERS - STEP_CHARACTERS - 200
        assert prefix[: -len(sent.prefix)].endswith("\n")


def test_the_window_begins_where_it_began_while_lines_are_typed():
    text = "".join(f"value_{number} = {number}\n" for number in range(2000))
    begins: list[int] = []
    for end in range(0, len(text), 7):
        sent = outgoing(replace(REQUEST, prefix=text[:end]), sends_path=False)
        begins.append(end - len(sent.prefix))
    assert begins == sorted(begins)
    assert len(set(begins)) <= len(text) // STEP_CHARACTERS


def test_a_line_without_end_is_cut():
    sent = outgoing(replace(REQUEST, prefix="x" * 100_000), sends_path=False)
    assert PREFIX_CHARACTERS - STEP_CHARACTERS < len(sent.prefix) <= PREFIX_CHARACTERS


@given(st.none() | st.floats(0.001, 1e7), st.integers(1, 64), st.integers(1, 4096))
def test_a_service_takes_what_any_settings_ask_for(budget_ms, candidates, tokens):
    asked = replace(REQUEST, budget_ms=budget_ms, max_completions=candidates, stop=StopParams(max_new_tokens=tokens))
    read_request(request_json(TeamRequest(outgoing(asked, sends_path=True))), Bounds())


def test_a_session_is_of_one_document_and_tells_nothing():
    session = session_of(REQUEST)
    assert session == session_of(replace(REQUEST, prefix="something else"))
    assert session != session_of(replace(REQUEST, path="src/other.py"))
    assert session != session_of(replace(REQUEST, repository="other"))
    assert len(session) == 32
    assert session.isalnum()
