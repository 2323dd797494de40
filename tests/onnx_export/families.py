"""Tokenizers in the styles of the families, trained on made-up text, and small random checkpoints of every family."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

VOCABULARY = 480
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

STAR_TOKENS = ("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>")
QWEN_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)
GEMMA_TOKENS = (
    "<pad>",
    "<eos>",
    "<bos>",
    "<unk>",
    "<|fim_prefix|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
    "<|file_separator|>",
)


def byte_level(
    texts: Sequence[str], tokens: Sequence[str], size: int = VOCABULARY, *, words: bool = False
) -> Tokenizer:
    """GPT-2's style: bytes spelled as characters; with ``words``, split as in Qwen and Llama 3. Control tokens come
    last, and as in Qwen's file not all of them are marked special.
    """
    tokenizer = Tokenizer(models.BPE())
    parts: list[Any] = [pre_tokenizers.Split(Regex(WORDS), "isolated")] if words else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*parts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not words)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    if words:
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ordinary = ("<|fim_", "<|repo", "<|file_sep|>", "<｜fim")
    tokenizer.add_tokens([AddedToken(t, special=not t.startswith(ordinary), normalized=False) for t in tokens])
    return tokenizer


def sentencepiece(
    texts: Sequence[str], first: Sequence[str], last: Sequence[str] = (), size: int = VOCABULARY, *, lead: bool = True
) -> Tokenizer:
    """The style of Llama and Mistral: spaces as ``▁``, bytes without an entry as ``<0xNN>``; with ``lead`` a space
    comes first. ``first`` and ``last`` are the control tokens before and after the entries; ``<unk>`` must be among the
    first.
    """
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(vocab_size=size - 256 - len(first) - len(last), show_progress=False)
    trained.train_from_iterator([line for text in texts for line in text.splitlines()], trainer)
    raw = json.loads(trained.to_str())
    entries = [*first, *(f"<0x{byte:02X}>" for byte in range(256)), *raw["model"]["vocab"]]
    raw["model"].update(
        vocab={t: i for i, t in enumerate(entries)}, unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    steps = [{"type": "Prepend", "prepend": "▁"}, replace] if lead else [replace]
    raw["normalizer"] = {"type": "Sequence", "normalizers": steps}
    raw["decoder"] = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
    tokenizer: Tokenizer = Tokenizer.from_str(json.dumps(raw))
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in (*first, *last)])
    return tokenizer


TOKENIZERS: Mapping[str, Callable[[Sequence[str]], Tokenizer]] = {
    "llama2": lambda texts: sentencepiece(texts, ("<unk>", "<s>", "</s>")),
    "codellama": lambda texts: sentencepiece(texts, ("<unk>", "<s>", "</s>"), ("▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>")),
    "codestral": lambda texts: sentencepiece(
        texts, ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]")
    ),
    "deepseek": lambda texts: byte_level(
        texts,
        (
            "<｜fim▁hole｜>",
            "<｜fim▁begin｜>",
            "<｜fim▁end｜>",
            "<｜begin▁of▁sentence｜>",
            "<｜end▁of▁sentence｜>",
            "<|EOT|>",
        ),
        words=True,
    ),
    "seed": lambda texts: byte_level(
        texts,
        ("<[begin▁of▁sentence]>", "<[end▁of▁sentence]>", "<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"),
        words=True,
    ),
    "qwen": lambda texts: byte_level(texts, QWEN_TOKENS, words=True),
    "starcoder2": lambda texts: byte_level(texts, (*STAR_TOKENS, "<repo_name>", "<file_sep>")),
    "starcoder": lambda texts: byte_level(texts, (*STAR_TOKENS, "<filename>", "<gh_stars>", "<reponame>")),
    "santacoder": lambda texts: byte_level(
        texts, ("<|endoftext|>", "<fim-prefix>", "<fim-middle>", "<fim-suffix>", "<fim-pad>")
    ),
    "codegemma": lambda texts: sentencepiece(texts, GEMMA_TOKENS, lead=False),
    "gpt2": lambda texts: byte_level(texts, ("<|endoftext|>",)),
}


@dataclass(frozen=True)
class Example:
    """A small checkpoint of a family: its configuration class and the values that differ from the defaults."""

    tokenizer: str
    config: str
    settings: Mapping[str, Any]
    end: str = "<|endoftext|>"
    begin: str | None = None


_NAMES = {"max_position_embeddings": 192, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_GROUPED = {**_NAMES, "num_key_value_heads": 2, "intermediate_size": 96}
_GPT = {"n_positions": 192, "n_embd": 64, "n_layer": 2, "n_head": 4}

EXAMPLES: Mapping[str, Example] = {
    "llama": Example("codellama", "LlamaConfig", {**_GROUPED, "tie_word_embeddings": False}, "</s>", "<s>"),
    # More rows than the tokenizer has entries: Qwen pads them.
    "qwen2": Example("qwen", "Qwen2Config", {**_GROUPED, "tie_word_embeddings": True, "padding_rows": 32}),
    "qwen3": Example("qwen", "Qwen3Config", {**_GROUPED, "head_dim": 32, "tie_word_embeddings": True}),
    "mistral": Example("codestral", "MistralConfig", {**_GROUPED, "sliding_window": None}, "</s>", "<s>"),
    "granite": Example(
        "starcoder",
        "GraniteConfig",
        {
            **_GROUPED,
            "embedding_multiplier": 12.0,
            "logits_scaling": 6.0,
            "residual_multiplier": 0.22,
            "attention_multiplier": 0.125,
            "tie_word_embeddings": True,
        },
    ),
    "gemma": Example("codegemma", "GemmaConfig", {**_GROUPED, "head_dim": 32}, "<eos>", "<bos>"),
    "gemma2": Example(
        "codegemma",
        "Gemma2Config",
        {**_GROUPED, "head_dim": 32, "sliding_window": 24, "query_pre_attn_scalar": 48, "final_logit_softcapping": 5.0},
        "<eos>",
        "<bos>",
    ),
    "gemma3_text": Example(
        "codegemma",
        "Gemma3TextConfig",
        {
            **_GROUPED,
            "head_dim": 32,
            "sliding_window": 24,
            "query_pre_attn_scalar": 48,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        "<eos>",
        "<bos>",
    ),
    "phi": Example("gpt2", "PhiConfig", {**_NAMES, "intermediate_size": 96, "partial_rotary_factor": 0.5}),
    "phi3": Example("llama2", "Phi3Config", {**_GROUPED, "original_max_position_embeddings": 192}, "</s>", "<s>"),
    "starcoder2": Example("starcoder2", "Starcoder2Config", {**_GROUPED, "sliding_window": 24}),
    "stablelm": Example("gpt2", "StableLmConfig", {**_GROUPED, "use_qkv_bias": True}),
    "gpt_bigcode": Example("santacoder", "GPTBigCodeConfig", dict(_GPT)),
    "gpt2": Example("gpt2", "GPT2Config", dict(_GPT)),
    "codegen": Example("gpt2", "CodeGenConfig", {**_GPT, "rotary_dim": 8, "tie_word_embeddings": False}),
}


# What a family's row does not give: scaled positions and windows.
VARIANTS: Mapping[str, Example] = {
    "llama, stretched positions": Example(
        "deepseek",
        "LlamaConfig",
        {
            **_GROUPED,
            "tie_word_embeddings": False,
            "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e5},
        },
        "<｜end▁of▁sentence｜>",
        "<｜begin▁of▁sentence｜>",
    ),
    "mistral, sliding window": Example("codestral", "MistralConfig", {**_GROUPED, "sliding_window": 24}, "</s>", "<s>"),
}


def write_example(
    folder: Path,
    name: str,
    texts: Sequence[str],
    seed: int = 1,
    *,
    tokenizer: Tokenizer | None = None,
    end: str | None = None,
    begin: str | None = None,
    **changes: Any,
) -> Path:
    """A checkpoint folder of the family ``name`` with random weights that are large enough for every layer to affect
    the logits. ``tokenizer`` is used instead of one that is trained on ``texts``, with the control tokens ``begin``
    (None: without one) and ``end``.
    """
    example = {**EXAMPLES, **VARIANTS}[name]
    if tokenizer is not None:
        assert end is not None
        example = replace(example, end=end, begin=begin)
    else:
        tokenizer = TOKENIZERS[example.tokenizer](texts)
    settings = {**example.settings, **changes}
    rows = tokenizer.get_vocab_size() + settings.pop("padding_rows", 0)
    end_id = tokenizer.token_to_id(example.end)
    begin_id = end_id if example.begin is None else tokenizer.token_to_id(example.begin)
    config = getattr(transformers, example.config)(
        **{"vocab_size": rows, "eos_token_id": end_id, "bos_token_id": begin_id, "pad_token_id": end_id, **settings}
    )
    model = transformers.AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.normal_(0.0, parameter.shape[-1] ** -0.5, generator=generator)
            elif parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    if example.begin is not None:
        (folder / "tokenizer_config.json").write_text('{"add_bos_token": true}', encoding="utf-8")
    return folder
