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
