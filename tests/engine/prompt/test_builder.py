"""From a request to a prompt: snippets, imports outside the window, and what typing does not change."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import HealingParams, StopParams
from engine.model_folder.manifest import FimTemplates, RepositoryTokens
from engine.prompt.builder import PromptBuilder
from engine.prompt.fim import Prompt
from engine.prompt.windows import ANCHOR_STEP_LINES, JUMP_SHARE
from engine.types import CompletionRequest, IdArray, Snippet
from tests.fakes import control_ids, endless_completer, make_manifest, toy_fim, toy_tokenizer

TOKENIZER = toy_tokenizer("byte-level")
END = control_ids(TOKENIZER)[0]
LINE = "self.name = 12345\n"


def build(
    request: CompletionRequest,
    capacity: int = 300,
    fim: FimTemplates | None = None,
    tokens: RepositoryTokens | None = None,
    copies: bool = False,
) -> Prompt:
    size = TOKENIZER.vocabulary.size
    manifest = make_manifest(size, end=(END,), fim=fim, repository=tokens, context_length=capacity)
    return PromptBuilder(TOKENIZER, manifest, lambda: capacity, copies=copies).build(request)


def text_of(prompt: Prompt) -> str:
    return TOKENIZER.decode_bytes(prompt.ids.tolist()).decode()


def request(prefix: str, *pieces: str, imports: str = "", suffix: str = "") -> CompletionRequest:
    stop = StopParams(max_new_tokens=4)
    return CompletionRequest(
        prefix, suffix, extra_context=tuple(map(Snippet, pieces)), imports=imports, stop=stop, speculation="auto"
    )


@pytest.mark.parametrize(("above", "below"), [(0, 0), (3, 2), (40, 2), (3, 100), (1000, 900)])
@pytest.mark.parametrize("fim", [None, toy_fim(TOKENIZER, "spm"), toy_fim(TOKENIZER, "psm")])
def test_what_the_windows_lack_of_the_document_can_be_copied_from(above: int, below: int, fim: FimTemplates | None):
    lines = [f"x{number} = {number}\n" for number in range(1900)]
    prefix, suffix = "".join(lines[:above]) + "y = ", "".join(["\n", *lines[above : above + below]])
    asked = request(prefix, suffix=suffix)
    prompt = build(asked, fim=fim, copies=True)
    before, after, *settled = texts_between_control_ids(prompt.source.tolist())
    read = [text for text in texts_between_control_ids(prompt.ids.tolist()) if text]
    window = "".join(text for text in read if not suffix.startswith(text))
    assert before + window == prefix
    assert sum(map(len, read)) - len(window) + len(after) == len(suffix)
    assert suffix.endswith(after)
    assert "".join(settled) + TOKENIZER.decode_bytes(prompt.tail).decode() == "".join(read)
    assert np.array_equal(build(asked, fim=fim).source, prompt.source)  # drafts are also taken from it
    assert not len(build(replace(asked, speculation="off"), fim=fim).source)


def texts_between_control_ids(ids: list[int]) -> list[str]:
    texts, start = [], 0
    for at in [at for at, token in enumerate(ids) if token in TOKENIZER.vocabulary.control_ids] + [len(ids)]:
        texts.append(TOKENIZER.decode_bytes(ids[start:at]).decode())
        start = at + 1
    return texts


def test_extrastand_before_the_document_in_their_order():
    assert text_of(build(request("x = se", "# a\n", "# b\n"))) == "# a\n# b\nx = se"


def test_a_piece_that_has_no_room_is_left_out():
    long = LINE * 100
    assert text_of(build(request("x = se", long, "# b\n"))) == "# b\nx = se"
    full = text_of(build(request(long + "x = se", "# a\n", LINE * 40, "# b\n")))
    assert full.startswith("# a\n# b\n")
    assert (LINE * 100 + "x = se").endswith(full.removeprefix("# a\n# b\n"))


def test_imports_come_back_only_where_the_window_does_not_reach_them():
    imports = "import os\n"
    assert text_of(build(request(imports + "x = se", imports=imports))) == "import os\nx = se"
    cut = text_of(build(request(imports + LINE * 100 + "x = se", "# a\n", imports=imports)))
    assert cut.startswith("# a\nimport os\n")
    assert (LINE * 100 + "x = se").endswith(cut.removeprefix("# a\nimport os\n"))


@pytest.mark.parametrize("order", ["psm", "spm"])
def test_native_prompts_have_all_of_the_prefix_in_its_place_and_nothing_to_take_back(order):
    fim = toy_fim(TOKENIZER, order)
    asked = replace(request("x = 1\nprin", suffix="\ny"), healing=HealingParams(mode="native"))
    prompt = build(asked, fim=fim)
    assert prompt.tail == ()
    prefix, suffix = TOKENIZER.encode("x = 1\nprin"), TOKENIZER.encode("\ny")
    slots = {"prefix": prefix, "suffix": suffix}
    template = fim.templates[order]
    assert prompt.ids.tolist() == [t for part in template for t in ((part,) if isinstance(part, int) else slots[part])]


@pytest.mark.parametrize("order", ["psm", "spm"])
def test_extraare_part_of_the_prefix_and_the_tail_ends_the_prompt(order):
    fim = toy_fim(TOKENIZER, order)
    prompt = build(request("def f():\n    se", "# a\n", suffix="\nx = 1\n"), fim=fim)
    ids = prompt.ids.tolist()
    assert tuple(ids[len(ids) - len(prompt.tail) :]) == prompt.tail
    assert TOKENIZER.decode_bytes(prompt.tail) == b"\n    se"
    # If a sentinel stands between prefix and middle, a document this short is all middle.
    assert ("# a\ndef f():" if order == "spm" else "# a\n\nx = 1\ndef f():") in text_of(prompt)


@given(
    st.integers(0, 120),
    st.integers(0, 60),
    st.lists(st.integers(0, 60), max_size=4),
    st.integers(0, 20),
    st.integers(12, 120),
    st.sampled_from(["plain", "psm", "spm"]),
    st.sampled_from([None, RepositoryTokens(END, END), RepositoryTokens(END, path_in_prefix=True)]),
    st.integers(0, 40),
)
def test_the_budget_is_kept_and_the_typed_text_ends_the_prompt(
    lines, below, pieces, imports, capacity, order, tokens, folders
):
    fim = None if order == "plain" else toy_fim(TOKENIZER, order)
    asked = request(
        LINE * lines + "self.na",
        *(LINE * n for n in pieces),
        imports="import os\n" * imports,
        suffix="\n" + LINE * below,
    )
    asked = replace(asked, path="src/" * folders + "a.py" if folders else "", repository="demo")
    prompt = build(asked, capacity, fim, tokens)
    assert len(prompt.ids) <= capacity - asked.stop.max_new_tokens
    assert b"self.na".endswith(TOKENIZER.decode_bytes(prompt.tail)[-7:])


@pytest.mark.parametrize("pieces", [(), (LINE * 3, "# b\n" * 4)], ids=["alone", "with pieces"])
def test_typing_two_hundred_characters_in_a_large_file_keeps_the_cache(pieces):
    completer, session = endless_completer(context_length=512)
    large = LINE * 300
    typed = "".join(f"value{n} = self.name + {n}\n" for n in range(9))[:200]
    starts, shares = [], []
    for end in range(len(typed)):
        asked = request(large + typed[:end], *pieces, imports="import os\n", suffix="\n" + LINE * 50)
        result = completer.complete(asked)
        starts.append(tuple(session.written[:24]))
        shares.append(result.reused_tokens / result.prompt_tokens)
    assert sum(earlier != later for earlier, later in pairwise(starts)) <= 3
    assert sum(share < 0.9 for share in shares) <= 4  # the first prompt, and each one after the window has jumped


@pytest.mark.parametrize("order", ["psm", "spm"])
@pytest.mark.parametrize("typed", [LINE, "    if self.value is None:\n", "\n"], ids=["short", "longer", "empty"])
def test_a_new_line_in_a_large_file_adds_its_own_tokens_and_nothing_else(order, typed):
    above, below, lines, fim = LINE * 200, "\n" + LINE * 200, 160, toy_fim(TOKENIZER, order)
    prompts = [build(request(above + typed * number, suffix=below), 2048, fim).ids for number in range(lines)]
    read = [len(later) - common_length(earlier, later) for earlier, later in pairwise(prompts)]
    jumps = sum(tokens > 64 for tokens in read)
    of_window = len(TOKENIZER.encode_inside(typed * lines)) // int(2040 * JUMP_SHARE) + 1
    of_anchor = lines // ANCHOR_STEP_LINES + 1 if order == "psm" else 0
    assert jumps <= of_window + of_anchor
    # Lines of ten tokens; for the longer one the toy vocabulary needs three times as many as real ones.
    assert jumps <= 0.05 * lines or len(TOKENIZER.encode_inside(typed)) > 10


def common_length(left: IdArray, right: IdArray) -> int:
    return next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


@given(st.integers(0, 90), st.integers(0, 400), st.sampled_from(["psm", "spm", "plain"]), st.booleans())
def test_what_is_read_of_a_document_is_its_text_around_the_cursor(above, below, order, whole):
    fim = None if order == "plain" else toy_fim(TOKENIZER, order)
    lines = "".join(f"x{number} = {number}\n" for number in range(above))
    asked = request(lines + "self.na", suffix="\n" + "y = 1\n" * below)
    prompt = build(asked, 4000 if whole else 200, fim)
    read = [text for text in texts_between_control_ids(prompt.ids.tolist()) if text]
    assert (lines + "self.na").endswith("".join(text for text in read if not asked.suffix.startswith(text)))
    if whole and below < 200:
        assert len("".join(read)) == len(asked.prefix) + (len(asked.suffix) if below and order != "plain" else 0)


@pytest.mark.parametrize("fim", [None, toy_fim(TOKENIZER, "spm"), toy_fim(TOKENIZER, "psm")])
def test_a_prompt_is_as_long_as_the_request_allows(fim: FimTemplates | None):
    asked = replace(request(LINE * 200, suffix="\n" + LINE * 200), context_tokens=64)
    short, whole = build(asked, fim=fim), build(replace(asked, context_tokens=None), fim=fim)
    assert 48 <= len(short.ids) <= 64 < len(whole.ids)
