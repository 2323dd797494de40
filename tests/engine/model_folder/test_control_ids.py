import pytest

from engine.errors import ModelFolderError
from engine.model_folder.control_ids import control_ids

TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]}


def test_a_model_without_an_end():
    with pytest.raises(ModelFolderError, match="names no eos_token_id"):
        control_ids({"bos_token_id": 1}, {}, {}, {}, {})


def test_ends_of_both_configurations_and_of_the_family():
    added = {"<|fim_prefix|>": 3, "<|fim_suffix|>": 4, "<|fim_middle|>": 5, "<|file_sep|>": 6, "<|fim_pad|>": 7}
    ids = control_ids({"eos_token_id": 2}, {"eos_token_id": [9, 2]}, {}, {}, added)
    assert ids.end == (2, 9, 7, 6)


@pytest.mark.parametrize("ends", [-1, [2, -1]])
def test_an_end_below_0_is_refused(ends):
    with pytest.raises(ModelFolderError, match="names -1 as the end of a text"):
        control_ids({"eos_token_id": ends}, {}, {}, {}, {})


@pytest.mark.parametrize("token", ["</s>", {"content": "</s>", "lstrip": False}])
def test_an_end_that_only_the_tokenizer_names(token):
    assert control_ids({}, {}, {"eos_token": token}, {}, {"</s>": 2}).end == (2,)


@pytest.mark.parametrize("token", ["</s>", {"content": "</s>", "lstrip": False}])
@pytest.mark.parametrize("tokenizer", [{}, {"model": {"vocab": {"</s>": 2}}}])
def test_an_end_that_only_the_map_of_special_tokens_names(token, tokenizer):
    added = {} if tokenizer else {"</s>": 2}
    assert control_ids({}, {}, {}, tokenizer, added, {"eos_token": token}).end == (2,)
    assert control_ids({}, {}, {"eos_token": "<e>"}, {}, {**added, "<e>": 3}, {"eos_token": token}).end == (3,)
    assert control_ids({"eos_token_id": 1}, {}, {}, tokenizer, added, {"eos_token": token}).end == (1,)


@pytest.mark.parametrize("vocabulary", [{"the": 7, "</s>": 2}, [["a", -1.0]] * 7 + [["the", -2.0]]])
@pytest.mark.parametrize("ends", [7, [2, 7]])
def test_an_end_that_is_ordinary_text_is_refused(vocabulary, ends):
    with pytest.raises(ModelFolderError, match=r"names 7 as the end of a text, which is the ordinary entry 'the'"):
        control_ids({"eos_token_id": ends}, {}, {}, {"model": {"vocab": vocabulary}}, {})


def test_an_end_without_an_entry_is_refused():
    tokenizer = {"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 2, "content": "</s>", "special": True}]}
    with pytest.raises(ModelFolderError, match="names 99 as the end of a text, but the tokenizer has no such entry"):
        control_ids({"eos_token_id": [2, 99]}, {}, {}, tokenizer, {"</s>": 2})


def test_an_added_entry_that_is_text_is_no_end_either():
    """StarCoder and Phi add runs of spaces as entries; these are ordinary text."""
    added = [{"id": 7, "content": "    ", "special": False}, {"id": 8, "content": "EOS", "special": True}]
    tokenizer = {"model": {"vocab": {"a": 0}}, "added_tokens": added}
    with pytest.raises(ModelFolderError, match="names 7 as the end of a text"):
        control_ids({"eos_token_id": 7}, {}, {}, tokenizer, {"    ": 7, "EOS": 8})
    assert control_ids({"eos_token_id": 8}, {}, {}, tokenizer, {"    ": 7, "EOS": 8}).end == (8,)


@pytest.mark.parametrize("text", ["</s>", "<|endoftext|>", "[EOS]", "<\uff5cend\u2581of\u2581sentence\uff5c>"])
def test_an_end_of_the_vocabulary_that_looks_like_one_is_one(text):
    assert control_ids({"eos_token_id": 2}, {}, {}, {"model": {"vocab": {text: 2}}}, {}).end == (2,)


def test_ids_below_text_config():
    ids = control_ids({"text_config": {"eos_token_id": 2, "bos_token_id": 1}}, {}, {}, {}, {})
    assert (ids.begin, ids.end) == (1, (2,))


def test_a_begin_id_below_0_is_none():
    assert control_ids({"eos_token_id": 2, "bos_token_id": -1}, {}, {}, {}, {}).begin is None


@pytest.mark.parametrize("pad", [None, -1])
def test_padding_may_be_absent(pad):
    assert control_ids({"eos_token_id": 2, "pad_token_id": pad}, {}, {}, {}, {}).pad is None


def test_padding_may_equal_the_end():
    assert control_ids({"eos_token_id": 2, "pad_token_id": 2}, {}, {}, {}, {}).pad == 2


@pytest.mark.parametrize(
    ("tokenizer_config", "processor", "begin"),
    [
        ({}, None, 1),
        ({"add_bos_token": False}, TEMPLATE, None),
        ({"add_bos_token": True}, {"type": "ByteLevel"}, 1),
        ({}, TEMPLATE, 1),
        ({}, {"type": "Sequence", "processors": [{"type": "ByteLevel"}, TEMPLATE]}, 1),
        ({}, {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]}, None),
        ({}, {"type": "ByteLevel"}, None),
    ],
    ids=["nothing said", "denied", "stated", "template", "sequence", "template without", "byte level"],
)
def test_the_begin_id_counts_where_encoding_writes_it(tokenizer_config, processor, begin):
    ids = control_ids({"eos_token_id": 2, "bos_token_id": 1}, {}, tokenizer_config, {"post_processor": processor}, {})
    assert ids.begin == begin
