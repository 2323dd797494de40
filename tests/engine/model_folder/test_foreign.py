"""Folders of other exporters: a manifest is derived, nothing is written, and unusable folders are refused."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine import Completer, CompletionRequest, ContractError, ManifestError, MidtokenError, ModelFolderError
from engine.model_folder.foreign import TOKENIZER, GraphSignature, TensorType, derive_manifest, find_foreign
from engine.runtime.graph import open_graph
from tests.fakes import ATTENTION_GRAPH, ATTENTION_HEAD, SEPARATE_GRAPH
from tests.toy import TOYS

CONFIG: dict[str, Any] = {
    "architectures": ["ToyForCausalLM"],
    "vocab_size": ATTENTION_HEAD,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "hidden_size": 16,
    "max_position_embeddings": 200,
    "eos_token_id": 298,
}
GENAI: dict[str, Any] = {
    "model": {
        "type": "toy",
        "context_length": 128,
        "vocab_size": ATTENTION_HEAD,
        "eos_token_id": 298,
        "decoder": {
            "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
            "filename": "model.onnx",
            "head_size": 16,
            "hidden_size": 32,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "num_hidden_layers": 1,
            "inputs": {
                "input_ids": "input_ids",
                "attention_mask": "attention_mask",
                "past_key_names": "past_key_values.%d.key",
                "past_value_names": "past_key_values.%d.value",
            },
            "outputs": {
                "logits": "logits",
                "present_key_names": "present.%d.key",
                "present_value_names": "present.%d.value",
            },
        },
    },
    "search": {"past_present_share_buffer": True},
}


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """As published for the web: the quantised graph, in a folder of its own."""
    folder = tmp_path / "web"
    write(folder / "config.json", CONFIG)
    (folder / TOKENIZER).write_text(TOYS["byte-level"](), encoding="utf-8")
    (folder / "onnx").mkdir()
    shutil.copy(SEPARATE_GRAPH, folder / "onnx" / "model_q4.onnx")
    return folder


@pytest.fixture
def genai(tmp_path: Path) -> Path:
    """As onnxruntime-genai's builder writes it."""
    folder = tmp_path / "genai"
    write(folder / "genai_config.json", GENAI)
    (folder / TOKENIZER).write_text(TOYS["byte-level"](), encoding="utf-8")
    shutil.copy(ATTENTION_GRAPH, folder / "model.onnx")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def complete(path: Path) -> Completer:
    completer = Completer.load(path, device="cpu", threads=1)
    result = completer.complete(CompletionRequest(prefix="def self(retu"))
    assert result.prompt_tokens > 1
    return completer


def refused(path: Path, *parts: str, kind: type[MidtokenError] = ModelFolderError) -> None:
    with pytest.raises(kind) as caught:
        Completer.load(path, device="cpu", threads=1)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_folder_published_for_the_web(web: Path):
    before = files(web)
    completer = complete(web)
    assert files(web) == before  # not even the prefix index
    manifest = completer.manifest
    assert (manifest.name, manifest.architecture, manifest.precision) == ("web", "ToyForCausalLM", "int4")
    assert manifest.graph.position_ids == "position_ids"
    assert manifest.graph.logits_positions is None
    assert not manifest.key_value.shared
    assert (manifest.key_value.layers, manifest.key_value.heads, manifest.key_value.head_size) == (1, 1, 16)
    assert manifest.vocabulary.head == ATTENTION_HEAD
    assert completer.info.context_length == 200
    assert any("made by another exporter" in line for line in completer.notices)


def test_a_folder_of_optimum_has_its_graph_beside_the_rest(web: Path):
    (web / "onnx" / "model_q4.onnx").rename(web / "model.onnx")
    assert complete(web).manifest.precision == "fp32"


@pytest.mark.parametrize("place", ["onnx/model_fp16.onnx", "onnx/mine.onnx"])
def test_a_graph_may_be_named_itself(web: Path, place: str):
    shutil.copy(SEPARATE_GRAPH, web / place)
    assert complete(web / place).manifest.model_file == place


def test_a_folder_of_the_genai_builder(genai: Path):
    before = files(genai)
    manifest = complete(genai).manifest
    assert files(genai) == before
    assert manifest.key_value.shared
    assert (manifest.architecture, manifest.precision, manifest.context_length) == ("toy", "unknown", 128)


def test_a_folder_of_the_genai_builder_without_shared_buffers(genai: Path):
    shared = complete(genai).complete(CompletionRequest(prefix="import self"))
    write(genai / "genai_config.json", {**GENAI, "search": {"past_present_share_buffer": False}})
    completer = complete(genai)
    assert not completer.manifest.key_value.shared
    alone = completer.complete(CompletionRequest(prefix="import self"))
    assert [c.text for c in alone.completions] == [c.text for c in shared.completions]


def test_tokens_to_fill_in_the_middle_are_found(web: Path):
    raw = json.loads((web / TOKENIZER).read_text())
    size = 1 + max([*raw["model"]["vocab"].values(), *(token["id"] for token in raw["added_tokens"])])
    raw["added_tokens"] = [token for token in raw["added_tokens"] if "fim" not in token["content"]]
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    for number, name in enumerate(("<fim-prefix>", "<fim-suffix>", "<fim-middle>")):
        raw["added_tokens"].append({"id": size + number, "content": name, **plain})
    write(web / TOKENIZER, raw)
    completer = complete(web)
    assert completer.info.fim_orders == ("psm", "spm")
    # The file does not mark them as special; here they are control tokens all the same.
    assert {size, size + 1, size + 2} <= completer.tokenizer.vocabulary.control_ids


def test_a_model_without_such_tokens_says_so(web: Path):
    raw = json.loads((web / TOKENIZER).read_text())
    raw["added_tokens"] = [token for token in raw["added_tokens"] if "fim" not in token["content"]]
    write(web / TOKENIZER, raw)
    completer = complete(web)
    assert any("cannot fill in the middle" in line for line in completer.notices)


@pytest.mark.parametrize("name", [TOKENIZER, "config.json"])
def test_a_missing_file(web: Path, name: str):
    (web / name).unlink()
    refused(web, f"no {name}")


@pytest.mark.parametrize("name", [TOKENIZER, "config.json"])
@pytest.mark.parametrize("text", ["{", "[1]", ""], ids=repr)
def test_a_file_that_is_no_json_object(web: Path, name: str, text: str):
    (web / name).write_text(text)
    refused(web, name)


@pytest.mark.parametrize("field", ["num_attention_heads", "max_position_embeddings", "eos_token_id"])
def test_a_configuration_that_says_too_little(web: Path, field: str):
    write(web / "config.json", {name: value for name, value in CONFIG.items() if name != field})
    refused(web, field)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "special_tokens_map.json"])
def test_an_end_that_only_the_files_beside_the_tokenizer_name(web: Path, name: str):
    end = CONFIG["eos_token_id"]
    write(web / "config.json", {field: value for field, value in CONFIG.items() if field != "eos_token_id"})
    added = json.loads((web / TOKENIZER).read_text(encoding="utf-8"))["added_tokens"]
    [spelling] = [token["content"] for token in added if token["id"] == end]
    write(web / name, {"eos_token": spelling})
    assert end in complete(web).manifest.control.end


def test_a_graph_without_a_cache(web: Path):
    write(
        web / "genai_config.json",
        {"model": {"decoder": {"filename": "model.onnx", "inputs": {"past_key_names": "k%d"}}}},
    )
    shutil.copy(SEPARATE_GRAPH, web / "model.onnx")
    refused(web, "'k0'", "with past", kind=ContractError)


def test_a_merged_decoder(web: Path):
    found = find_foreign(web)
    assert found is not None
    signature = open_graph(web / found.model_file, "cpu", 1).signature
    inputs = {**signature.inputs, "use_cache_branch": TensorType("tensor(bool)", (1,))}
    with pytest.raises(ContractError, match=r"^onnx/model_q4.onnx is two graphs in one.*with 'midtoken export'$"):
        derive_manifest(found, GraphSignature(inputs, signature.outputs))


def test_a_graph_that_makes_no_logits(web: Path):
    write(
        web / "genai_config.json", {"model": {"decoder": {"filename": "model.onnx", "outputs": {"logits": "scores"}}}}
    )
    shutil.copy(SEPARATE_GRAPH, web / "model.onnx")
    refused(web, "'scores'", "not a language model", kind=ContractError)


def test_an_encoder_and_a_decoder(web: Path):
    shutil.copy(SEPARATE_GRAPH, web / "onnx" / "encoder_model.onnx")
    refused(web, "encoder", "decoder-only")


def test_a_wish_for_custom_operators(genai: Path):
    raw = json.loads(json.dumps(GENAI))
    raw["model"]["decoder"]["session_options"]["custom_ops_library"] = "evil.so"
    write(genai / "genai_config.json", raw)
    refused(genai, "custom operators", "loads no code")


@pytest.mark.parametrize("name", ["../model.onnx", "/model.onnx", None, 3])
def test_a_graph_outside_the_folder(genai: Path, name: Any):
    raw = json.loads(json.dumps(GENAI))
    raw["model"]["decoder"]["filename"] = name
    write(genai / "genai_config.json", raw)
    refused(genai, "must be a file of the folder", kind=ManifestError)


def test_a_tokenizer_larger_than_the_model(web: Path):
    write(web / "config.json", {**CONFIG, "vocab_size": 20})
    refused(web, "embedding has 20 rows", kind=ContractError)


def test_a_folder_with_nothing_known(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    refused(tmp_path, "holds no midtoken.json")


NAMES = [
    ("inputs", "input_ids"), ("inputs", "attention_mask"), ("inputs", "position_ids"), ("inputs", "past_key_names"),
    ("outputs", "logits"), ("outputs", "present_value_names"),
]  # fmt: skip


@pytest.mark.parametrize(("side", "name"), NAMES)
@pytest.mark.parametrize("odd", [None, 7, ["x"], {"a": "b"}], ids=str)
def test_a_name_of_the_graph_that_is_none(genai: Path, side: str, name: str, odd: Any):
    raw = json.loads(json.dumps(GENAI))
    raw["model"]["decoder"].setdefault(side, {})[name] = odd
    write(genai / "genai_config.json", raw)
    refused(genai, "is not understood", f"{name!r}", "it must be a name", kind=ManifestError)


@pytest.mark.parametrize(
    "values",
    [{"num_key_value_heads": math.inf}, {"num_attention_heads": 0}, {"head_dim": math.nan}, {"vocab_size": -math.inf}],
    ids=str,
)
def test_sizes_that_are_no_sizes(web: Path, values: dict[str, Any]):
    config = {name: value for name, value in CONFIG.items() if name != "head_dim"} | values
    write(web / "config.json", config)
    refused(web, "is not understood", kind=ManifestError)
