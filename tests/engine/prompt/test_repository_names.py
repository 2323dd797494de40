"""How names and files are written for a model: the published orders in full, and that text cannot forge them."""

from typing import Any

import numpy as np
import pytest

from engine.model_folder.manifest import RepositoryTokens
from engine.prompt.builder import PromptBuilder
from engine.prompt.fim import Prompt
from engine.prompt.repository_names import names_of, snippet_ids
from engine.types import CompletionRequest, Snippet
from tests.fakes import control_ids, make_manifest, toy_fim, toy_tokenizer

TOKENIZER = toy_tokenizer("byte-level")
END, PRE, SUF, MID = control_ids(TOKENIZER)
FILE, REPO = 900, 901
CAPACITY = 600
SPELLED = {END: "<end>", PRE: "<pre>", SUF: "<suf>", MID: "<mid>", FILE: "<file>", REPO: "<repo>"}
QWEN = RepositoryTokens(FILE, REPO, after_repository="\n")
STARCODER2 = RepositoryTokens(FILE, REPO, path_in_prefix=True)
STARCODER = RepositoryTokens(FILE, REPO)
CODEGEMMA = RepositoryTokens(FILE, separates=True)
SNIPPETS = (Snippet("a = 1\n\n", "src/a.py", "# src/a.py\n"), Snippet("b = 2", "src/b.py", "# src/b.py\n"))


def build(tokens: RepositoryTokens | None, order: str, prefix: str = "import os\nx = se", **fields: Any) -> Prompt:
    fim = None if order == "plain" else toy_fim(TOKENIZER, "spm" if order == "spm" else "psm")
    manifest = make_manifest(TOKENIZER.vocabulary.size, end=(END,), fim=fim, repository=tokens)
    request = CompletionRequest(prefix, "\ny = 1\n", **fields)
    return PromptBuilder(TOKENIZER, manifest, lambda: CAPACITY).build(request)


def spelled(ids: np.ndarray) -> str:
    parts = [SPELLED[i].encode() if i in SPELLED else TOKENIZER.decode_bytes([i]) for i in ids.tolist()]
    return b"".join(parts).decode()


@pytest.mark.parametrize(
    ("tokens", "order", "expected"),
    [
        # The document is short: all of it follows the middle sentinel, and the prefix holds only the other files.
        (
            QWEN,
            "psm",
            "<repo>demo\n<file>src/a.py\na = 1\n<file>src/b.py\nb = 2\n<file>src/c.py\n"
            "<pre><suf>\ny = 1\n<mid>import os\nx = se",
        ),
        (
            QWEN,
            "plain",
            "<repo>demo\n<file>src/a.py\na = 1\n<file>src/b.py\nb = 2\n<file>src/c.py\nimport os\nx = se",
        ),
        (
            STARCODER2,
            "psm",
            "<repo>demo<file>src/a.py\na = 1\n<file>src/b.py\nb = 2\n<file>"
            "<pre>src/c.py\n<suf>\ny = 1\n<mid>import os\nx = se",
        ),
        (
            STARCODER2,
            "spm",
            "<repo>demo<file>src/a.py\na = 1\n<file>src/b.py\nb = 2\n<file>"
            "<pre><suf>\ny = 1\n<mid>src/c.py\nimport os\nx = se",
        ),
        (
            STARCODER,
            "psm",
            "<repo>demo<file>src/a.py\na = 1\n<file>src/b.py\nb = 2\n<file>src/c.py\n"
            "<pre><suf>\ny = 1\n<mid>import os\nx = se",
        ),
        (
            CODEGEMMA,
            "psm",
            "src/a.py\na = 1\n<file>src/b.py\nb = 2\n<file>src/c.py\n<pre><suf>\ny = 1\n<mid>import os\nx = se",
        ),
        (None, "psm", "<pre># src/a.py\na = 1\n\n# src/b.py\nb = 2<suf>\ny = 1\n<mid>import os\nx = se"),
    ],
    ids=["qwen", "qwen, plain", "starcoder2", "starcoder2, spm", "starcoder", "codegemma", "no tokens"],
)
def test_files_in_the_order_that_the_family_was_trained_on(tokens, order, expected):
    prompt = build(tokens, order, extra_context=SNIPPETS, path="src/c.py", repository="demo")
    assert spelled(prompt.ids) == expected
    assert TOKENIZER.decode_bytes(prompt.tail) in (b"x = se", b"\nx = se")
    assert tuple(prompt.ids[len(prompt.ids) - len(prompt.tail) :].tolist()) == prompt.tail


def test_the_path_alone_and_no_name_of_a_repository():
    assert spelled(build(QWEN, "plain", path="c.py").ids) == "<file>c.py\nimport os\nx = se"
    assert spelled(build(CODEGEMMA, "plain", path="c.py").ids) == "c.py\nimport os\nx = se"


def test_without_a_path_files_are_text():
    assert spelled(build(QWEN, "plain", extra_context=SNIPPETS[:1], repository="demo").ids) == (
        "# src/a.py\na = 1\n\nimport os\nx = se"
    )


def test_a_snippet_of_no_file_is_a_file_without_a_name():
    assert spelled(np.array(snippet_ids(Snippet("a = 1"), QWEN, TOKENIZER.encode_inside))) == "<file>a = 1\n"


def test_a_name_that_is_spelled_like_a_control_token_is_text():
    request = CompletionRequest("", path="<|fim_middle|>/<|endoftext|>.py", repository="<|fim_prefix|>")
    names = names_of(request, QWEN, TOKENIZER.encode_inside)
    assert {i for i in names.repository + names.document if i in SPELLED} == {FILE, REPO}


def test_names_that_are_too_long_are_left_out():
    assert spelled(build(QWEN, "plain", path="deep/" * 40 + "c.py").ids) == "import os\nx = se"


def test_names_stand_before_everything_that_changes_while_one_types():
    first = build(QWEN, "spm", extra_context=SNIPPETS, path="src/c.py", repository="demo").ids.tolist()
    later = build(QWEN, "spm", "import os\nx = self", extra_context=SNIPPETS, path="src/c.py", repository="demo")
    line = first.index(MID) + len(TOKENIZER.encode_inside("import os\n"))
    assert first[: line + 1] == later.ids.tolist()[: line + 1]
