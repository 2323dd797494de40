"""Templates found by the tokens of tokenizers in the families' styles, and used by the engine's own prompt assembly."""

import pytest

from engine.errors import ModelFolderError
from engine.model_folder.fim_spellings import end_ids, fim_templates, find_spelling, repository_tokens
from engine.model_folder.manifest import RepositoryTokens
from engine.text.tokenizer import Tokenizer
from tests.onnx_export.families import TOKENIZERS
from tests.onnx_export.source_text import make_source

TEXTS = [make_source(seed) for seed in range(10)]
# The default template of each style, with the spelling of its control tokens.
WANTED = {
    "qwen": ("<|fim_prefix|>", "prefix", "<|fim_suffix|>", "suffix", "<|fim_middle|>"),
    "codegemma": ("<|fim_prefix|>", "prefix", "<|fim_suffix|>", "suffix", "<|fim_middle|>"),
    "starcoder": ("<fim_prefix>", "prefix", "<fim_suffix>", "suffix", "<fim_middle>"),
    "starcoder2": ("<fim_prefix>", "prefix", "<fim_suffix>", "suffix", "<fim_middle>"),
    "santacoder": ("<fim-prefix>", "prefix", "<fim-suffix>", "suffix", "<fim-middle>"),
    "deepseek": ("<｜fim▁begin｜>", "prefix", "<｜fim▁hole｜>", "suffix", "<｜fim▁end｜>"),
    "codellama": ("▁<PRE>", "prefix", "▁<SUF>", "suffix", "▁<MID>"),
    "codestral": ("[SUFFIX]", "suffix", "[PREFIX]", "prefix"),
    "seed": ("<[fim-suffix]>", "suffix", "<[fim-prefix]>", "prefix", "<[fim-middle]>"),
}


@pytest.mark.parametrize("style", sorted(TOKENIZERS))
def test_the_template_of_every_style_with_atomic_control_tokens(style: str):
    library = TOKENIZERS[style](TEXTS)
    added = {token.content: number for number, token in library.get_added_tokens_decoder().items()}
    fim = fim_templates(added)
    if style not in WANTED:
        assert fim is None
        return
    assert fim is not None
    names = {number: content for content, number in added.items()}
    spelled = [names[part] if isinstance(part, int) else part for part in fim.templates[fim.default]]
    assert tuple(spelled) == WANTED[style]
    # The engine treats them as control tokens, whatever the file calls them, and text never becomes one.
    tokenizer = Tokenizer(library.to_str(), fim.control_ids)
    assert fim.control_ids <= tokenizer.vocabulary.control_ids
    for number in fim.control_ids:
        assert library.encode(names[number], add_special_tokens=False).ids == [number]
        assert number not in tokenizer.encode(f"a {names[number]} b")


def test_rows_with_the_same_tokens_are_told_apart():
    bars = {"<|fim_prefix|>": 1, "<|fim_suffix|>": 2, "<|fim_middle|>": 3}
    names = [
        found.name
        for extra in ({}, {"<|file_sep|>": 4}, {"<|file_separator|>": 4})
        if (found := find_spelling({**bars, **extra})) is not None
    ]
    assert names == ["bars", "qwen", "codegemma"]


def test_tokens_of_files_and_repositories():
    qwen = {"<|fim_prefix|>": 1, "<|fim_suffix|>": 2, "<|fim_middle|>": 3, "<|file_sep|>": 4, "<|repo_name|>": 5}
    assert repository_tokens(qwen) == RepositoryTokens(file=4, repository=5, after_repository="\n")
    star = {"<fim_prefix>": 1, "<fim_suffix>": 2, "<fim_middle>": 3, "<filename>": 4}
    assert repository_tokens(star) == RepositoryTokens(file=4)
    assert repository_tokens({"<fim_prefix>": 1, "<fim_suffix>": 2, "<fim_middle>": 3}) is None
    assert repository_tokens({}) is None


def test_tokens_that_end_a_middle():
    assert end_ids({"▁<PRE>": 1, "▁<SUF>": 2, "▁<MID>": 3, "▁<EOT>": 4}) == (4,)
    assert end_ids({}) == ()


def test_orders_may_be_stated():
    bars = {"<|fim_prefix|>": 5, "<|fim_suffix|>": 6, "<|fim_middle|>": 7}
    both = fim_templates(bars, ("spm", "psm"))
    assert both is not None
    assert both.default == "spm"
    assert both.templates["spm"] == (5, 6, "suffix", 7, "prefix")
    with pytest.raises(ModelFolderError, match="names 'psm', which the tokens of codestral do not allow"):
        fim_templates({"[PREFIX]": 1, "[SUFFIX]": 2, "[MIDDLE]": 3}, ("psm",))
