"""``midtoken complete``: the cursor, the documents, the options, the output."""

import dataclasses
import io
import json
import math
import sys

import pytest

from engine import CompletionRequest
from lsp_server.commands.complete import cut, join
from tests.lsp_server.commands.command_line import StubCompleter, at, forget_settings, install, request_of, run


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    forget_settings(monkeypatch)


class TestCursor:
    @pytest.mark.parametrize(
        ("text", "line", "column", "prefix"),
        [
            ("", 1, 1, ""),
            ("abc", 1, 1, ""),
            ("abc", 1, 4, "abc"),
            ("abc\n", 2, 1, "abc\n"),
            ("abc\ndef", 2, 2, "abc\nd"),
            ("a\n\nb", 2, 1, "a\n"),
            ("😀👩‍👩‍👧é", 1, 2, "😀"),  # columns count characters, not units or bytes
            ("\tx", 1, 2, "\t"),
            ("a\x0cb\u2028c", 1, 5, "a\x0cb\u2028"),  # neither of them ends a line
        ],
    )
    def test_the_text_is_cut_at_line_and_column(self, text, line, column, prefix):
        cursor = cut(text, "name", line, column)
        assert (cursor.prefix, cursor.suffix) == (prefix, text[len(prefix) :])

    @pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
    def test_the_model_sees_line_feeds_and_the_document_keeps_its_own(self, line_break):
        cursor = cut(line_break.join(["one", "two", "three"]), "name", 2, 3)
        assert (cursor.prefix, cursor.suffix, cursor.line_break) == ("one\ntw", "o\nthree", line_break)

    def test_the_end_of_a_line_is_before_its_line_break(self):
        assert cut("ab\r\ncd", "name", 1, 3).suffix == "\ncd"

    def test_joined_texts_take_the_line_break_that_they_have(self):
        assert join("a\r\nb", "c").line_break == "\r\n"
        assert join("a", "b\r\nc").line_break == "\r\n"
        assert join("a", "b").line_break == "\n"


class TestDocuments:
    def test_a_position_takes_prefix_and_suffix_from_the_file(self, capsys, stub, write):
        path = write("import nump\nx = 1\n")
        outcome = run(capsys, "complete", at(path, "1:12"), "--language", "python")
        assert (outcome.status, outcome.out, outcome.err) == (0, "y as np\n", "")
        name = f"{path.parent.name}/{path.name}"
        assert request_of(stub) == CompletionRequest("import nump", "\nx = 1\n", language="python", path=name)

    @pytest.mark.parametrize(("more", "language"), [((), "typescript"), (("--language", "go"), "go")])
    def test_the_language_is_that_of_the_files_name_unless_it_is_given(self, capsys, stub, tmp_path, more, language):
        path = tmp_path / "a.ts"
        path.write_text("let x = 1\n", encoding="utf-8")
        assert run(capsys, "complete", at(path, "1:4"), *more).status == 0
        assert request_of(stub).language == language

    def test_a_byte_order_mark_is_no_column(self, capsys, stub, write):
        run(capsys, "complete", at(write(b"\xef\xbb\xbfab"), "1:3"))
        assert request_of(stub).prefix == "ab"

    def test_an_empty_file_has_one_position(self, capsys, stub, write):
        path = write("")
        assert run(capsys, "complete", at(path, "1:1")).status == 0
        assert request_of(stub) == CompletionRequest("", path=f"{path.parent.name}/{path.name}", language="python")

    def test_a_file_is_named_as_its_repository_has_it(self, capsys, stub, tmp_path):
        (tmp_path / "demo" / ".git").mkdir(parents=True)
        (tmp_path / "demo" / "a.py").write_text("x", encoding="utf-8")
        assert run(capsys, "complete", at(tmp_path / "demo" / "a.py", "1:2")).status == 0
        assert (request_of(stub).path, request_of(stub).repository) == ("a.py", "demo")

    def test_prefix_and_suffix_come_from_files(self, capsys, stub, write):
        before, after = write("import nump"), write("\nx\n", "suffix")
        assert run(capsys, "complete", "--prefix-file", before, "--suffix-file", after).status == 0
        assert request_of(stub) == CompletionRequest("import nump", "\nx\n")

    @pytest.mark.parametrize("which", ["prefix", "suffix"])
    def test_a_minus_is_standard_input(self, capsys, monkeypatch, stub, write, which):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("é\r\n".encode())))
        names = {"prefix": write("ab"), "suffix": write("cd", "suffix")} | {which: "-"}
        assert run(capsys, "complete", "--prefix-file", names["prefix"], "--suffix-file", names["suffix"]).status == 0
        assert getattr(request_of(stub), which) == "é\n"

    def test_what_is_inserted_has_the_line_breaks_of_the_document(self, capsys, monkeypatch, write):
        install(monkeypatch, StubCompleter("if x:\n    y()"))
        position = at(write(b"a\r\nb\r\n"), "2:2")
        assert run(capsys, "complete", position).out == "if x:\r\n    y()\n"
        assert json.loads(run(capsys, "complete", position, "--json").out)["completions"][0]["text"] == (
            "if x:\r\n    y()"
        )

    @pytest.mark.parametrize(
        ("text", "position", "says", "shown"),
        [
            ("print(a)\n", "1:8", "rg)", "rg\n"),
            ("if a:\n\tb\nif c:\n", "3:6", "\n    d", "\n\td\n"),
            ("total = 1\n\n", "2:1", "total = 1", ""),
        ],
    )
    def test_as_shown_it_is_what_an_editor_would_show(self, capsys, monkeypatch, write, text, position, says, shown):
        install(monkeypatch, StubCompleter(says))
        asked = "complete", at(write(text), position), "--language", "python"
        assert run(capsys, *asked).out == says + "\n"
        outcome = run(capsys, *asked, "--as-shown")
        assert (outcome.status, outcome.out) == (0, shown)

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("x = 1  # a comment, and\n" * (5_000_000 // 24), id="five megabytes"),
            pytest.param("# é\n" + "x" * 1_000_000, id="a line of a megabyte"),
        ],
    )
    def test_large_files_are_cut_as_small_ones(self, capsys, stub, write, text):
        line = text.count("\n") + 1
        column = len(text) - text.rfind("\n")
        assert run(capsys, "complete", at(write(text), f"{line}:{column}")).status == 0
        assert request_of(stub).prefix == text

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows allows no such names")
    def test_a_file_name_may_hold_colons_and_line_breaks(self, capsys, stub, write):
        assert run(capsys, "complete", at(write("ab", "a:1:2\nb.py"), "1:3")).status == 0


class TestBadDocuments:
    @pytest.mark.parametrize(
        ("position", "says"),
        [
            ("3:1", "has 2 lines; line 3 does not exist"),
            ("999999999:1", "line 999999999 does not exist"),
            ("1:5", "has columns 1 to 4; 5 is outside"),
            ("2:2", "has columns 1 to 1; 2 is outside"),
        ],
    )
    def test_a_position_outside_the_file(self, capsys, stub, write, position, says):
        outcome = run(capsys, "complete", at(write("abc\n"), position))
        assert outcome.status == 1
        assert says in outcome.error

    @pytest.mark.parametrize(
        "position",
        ["0:1", "1:0", "-1:1", "1:-1", "a:b", "1.5:1", "1:", ":", "1", "", "1:1:", "٣:1", " 1:1", "1_0:1", "9" * 5000],
    )
    def test_what_is_no_position(self, capsys, stub, write, position):
        outcome = run(capsys, "complete", at(write("abc\n"), position))
        assert outcome.status == 2
        assert "FILE:LINE:COLUMN" in outcome.error or "count from 1" in outcome.error

    @pytest.mark.parametrize("data", [b"\xff\xfea\x00", "é".encode("latin-1"), b"ab\xc3", b"\xed\xa0\x80"])
    def test_a_file_that_is_not_utf_8(self, capsys, stub, write, data):
        outcome = run(capsys, "complete", at(write(data), "1:1"))
        assert outcome.status == 1
        assert "is not UTF-8 (byte " in outcome.error

    def test_a_missing_file(self, capsys, stub, tmp_path):
        outcome = run(capsys, "complete", f"{tmp_path / 'missing.py'}:1:1")
        assert outcome.status == 1
        assert "missing.py" in outcome.error

    @pytest.mark.parametrize("arguments", [["{}:1:1"], ["--prefix-file", "{}"]])
    def test_a_folder_in_place_of_a_file(self, capsys, stub, tmp_path, arguments):
        outcome = run(capsys, "complete", *(argument.format(tmp_path) for argument in arguments))
        assert outcome.status == 1
        assert "is a folder; name a file" in outcome.error

    def test_nothing_to_complete(self, capsys, stub):
        outcome = run(capsys, "complete")
        assert outcome.status == 2
        assert outcome.error.startswith("give either FILE:LINE:COLUMN or --prefix-file")

    def test_both_a_position_and_a_prefix_file(self, capsys, stub, write):
        outcome = run(capsys, "complete", at(write(""), "1:1"), "--prefix-file", write(""))
        assert outcome.status == 2
        assert outcome.error.startswith("give either")

    @pytest.mark.parametrize("position", [[], ["{}:1:1"]])
    def test_a_suffix_without_a_prefix_file(self, capsys, stub, write, position):
        path = write("")
        outcome = run(capsys, "complete", *(p.format(path) for p in position), "--suffix-file", path)
        assert outcome.status == 2
        assert "--prefix-file" in outcome.error

    def test_standard_input_for_both(self, capsys, stub):
        outcome = run(capsys, "complete", "--prefix-file", "-", "--suffix-file", "-")
        assert outcome.status == 2
        assert "not both" in outcome.error

    def test_nothing_is_loaded_before_the_request_is_known_to_be_good(self, capsys, stub, write):
        run(capsys, "complete", at(write(""), "7:1"))
        run(capsys, "complete", at(write(""), "1:1"), "--top-p", "7")
        assert stub.loaded == []


class TestOutput:
    def test_json_has_exactly_these_names(self, capsys, stub, write):
        outcome = run(capsys, "complete", at(write("a"), "1:2"), "--json")
        assert outcome.err == ""
        printed = json.loads(outcome.out)
        assert shape(printed) == {
            "completions": [
                {
                    "text": "str",
                    "logprob": "float",
                    "tokens": "int",
                    "stop": "str",
                    "healing": {
                        "mode": "str",
                        "tail": "str",
                        "tokens_back": "int",
                        "covers": "int",
                        "surprise_bits": "float",
                    },
                }
            ],
            "timing_ms": dict.fromkeys(("load", "tokenize", "heal", "prefill", "decode", "total"), "float"),
            "drafts": dict.fromkeys(("lookup_drafted", "lookup_accepted", "model_drafted", "model_accepted"), "int"),
            "model": {"path": "str", "device": "str", "precision": "str", "vocabulary": "int"},
        }
        assert printed["completions"][0]["text"] == "y as np"

    def test_json_is_json_where_a_figure_is_infinite(self, capsys, stub, write):
        stub.answers(lambda c: dataclasses.replace(c, healing=dataclasses.replace(c.healing, surprise_bits=math.inf)))
        printed = run(capsys, "complete", at(write("a"), "1:2"), "--json").out
        assert "Infinity" not in printed
        assert json.loads(printed)["completions"][0]["healing"]["surprise_bits"] is None

    def test_candidates_are_printed_best_first(self, capsys, monkeypatch, write):
        install(monkeypatch, StubCompleter("one", "two"))
        assert run(capsys, "complete", at(write("a"), "1:2"), "-n", "2").out == "one\ntwo\n"

    def test_no_completion_is_said_on_standard_error(self, capsys, monkeypatch, write):
        install(monkeypatch, StubCompleter())
        outcome = run(capsys, "complete", at(write("a"), "1:2"))
        assert (outcome.status, outcome.out) == (0, "")
        assert outcome.err == "midtoken: the model has nothing to add here\n"

    def test_no_completion_is_an_empty_list_in_json(self, capsys, monkeypatch, write):
        install(monkeypatch, StubCompleter())
        outcome = run(capsys, "complete", at(write("a"), "1:2"), "--json")
        assert json.loads(outcome.out)["completions"] == []
        assert outcome.err == ""

    def test_notices_of_the_engine_are_one_line_on_standard_error(self, capsys, monkeypatch, write):
        notice = "CUDA was asked for but no NVIDIA device is visible; running on the CPU"
        install(monkeypatch, StubCompleter("x", notices=(notice,)))
        outcome = run(capsys, "complete", at(write("a"), "1:2"), "--device", "cuda")
        assert (outcome.status, outcome.out, outcome.err) == (0, "x\n", f"midtoken: {notice}\n")

    def test_a_terminal_shows_the_line_before_the_cursor(self, capsys, monkeypatch, stub, write):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.delenv("NO_COLOR", raising=False)
        assert "import nump\x1b[0m\x1b[1my as np" in run(capsys, "complete", at(write("import nump"), "1:12")).out
        monkeypatch.setenv("NO_COLOR", "1")
        assert run(capsys, "complete", at(write("import nump"), "1:12")).out == "y as np\n"


def shape(value: object) -> object:
    """The names and types of a decoded JSON value."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return type(value).__name__
