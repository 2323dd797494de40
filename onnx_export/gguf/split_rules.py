"""The rule that splits text before merging, by the name that a GGUF file has for it (``tokenizer.ggml.pre``).

A file does not hold the rule, only a name that llama.cpp knows. The table gives each name the rule of the published
tokenizers that it was made for. An unknown name is refused: with a wrong rule the model would read tokens that it was
never trained on, and the only sign would be worse completions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_ENDINGS}|{_WORDS}|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_ENDINGS}|{_WORDS}|\p{{N}}|{_REST}"
_QWEN35 = (
    rf"{_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_WITHOUT_ENDINGS = rf"{_WORDS}|\p{{N}}|{_REST}"
_EXAONE_MOE = (
    rf"{_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
)
_SEED_CODER = rf"{_ENDINGS}|{_WORDS}|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*%s|%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_GPT4O = _CASED % (f"{_ENDINGS}?", f"{_ENDINGS}?", r"\p{N}{1,3}")
_TEKKEN = _CASED % ("", "", r"\p{N}")
_GPT2_WITHOUT_SPACES = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
# Letters of scripts with upper and lower case, as the tokenizer of DeepSeek LLM lists them.
_CASED_LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\\x{1F7D}ᾀ-ᾴᾶ-ᾼ\\x{1FBE}ῂ-ῄῆ-ῌῐ-\\x{1FD3}ῖ-\\x{1FDB}ῠ-Ῥῲ-ῴῶ-ῼ"
    "ℂℇℊ-ℓℕℙ-ℝℤ\\x{2126}ℨ\\x{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
_ASIAN = r"[\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+"
_ASIAN3 = r"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+"
_PUNCTUATION = r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+"
_DEEPSEEK3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class SplitRule:
    """Expressions that are applied one after the other, each to the pieces that the earlier ones leave.

    ``digits`` first separates every digit. Without expressions, the rule of GPT-2 follows. ``whole`` says that a piece
    which is an entry is looked up and not merged.
    """

    expressions: tuple[str, ...] = ()
    digits: bool = False
    whole: bool = False

    def pre_tokenizer(self) -> dict[str, Any]:
        """The ``pre_tokenizer`` part of a tokenizer.json."""
        steps: list[dict[str, Any]] = [{"type": "Digits", "individual_digits": True}] if self.digits else []
        steps += [
            {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
            for expression in self.expressions
        ]
        steps.append(
            {
                "type": "ByteLevel",
                "add_prefix_space": False,
                "trim_offsets": True,
                "use_regex": not self.expressions,
            }
        )
        return {"type": "Sequence", "pretokenizers": steps}


_GPT2_RULE, _DIGITS_RULE = SplitRule(), SplitRule(digits=True)
_NAMES: tuple[tuple[tuple[str, ...], SplitRule], ...] = (
    (
        (
            "gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "mellum", "granite-docling", "exaone4", "gigachat",
            "a.x-4.0", "jina-v2-code", "codegen",
        ),
        _GPT2_RULE,
    ),
    (
        ("starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"),
        _DIGITS_RULE,
    ),
    (
        ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
        SplitRule((_LLAMA3,), whole=True),
    ),
    (("smaug-bpe", "dbrx", "glm4", "chatglm-bpe"), SplitRule((_LLAMA3,))),
    (("minicpm5",), SplitRule((r"\p{N}{1,3}", _LLAMA3.replace("{1,3}", "+")), whole=True)),
    (
        (
            "qwen2", "stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan", "kormo", "f2llmv2", "solar-open", "grok-2",
            "bailingmoe", "bailingmoe2", "llada-moe",
        ),
        SplitRule((_QWEN2,)),
    ),
    (("qwen35",), SplitRule((_QWEN35,))),
    (("laguna",), SplitRule((r"[^\n]+|[\n]+", _QWEN2))),
    (("ufakzeka",), SplitRule((_WITHOUT_ENDINGS,))),
    (("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"), SplitRule((_GPT4O,))),
    (("tekken",), SplitRule((_TEKKEN,), whole=True)),
    (("seed-coder",), SplitRule((_SEED_CODER,))),
    (("exaone-moe",), SplitRule((_EXAONE_MOE,))),
    (("deepseek-coder",), SplitRule((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _ASIAN, r"\p{N}"))),
    (
        ("deepseek-llm",),
        SplitRule((r"[\r\n]", rf"\s?[{_CASED_LETTERS}]+", _PUNCTUATION, r"\s+$", _ASIAN, r"\p{N}+")),
    ),
    (("deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"), SplitRule((r"\p{N}{1,3}", _ASIAN3, _DEEPSEEK3))),
    (("falcon",), SplitRule((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2_WITHOUT_SPACES, r"[0-9][0-9][0-9]"))),
    (("default",), SplitRule((r"[\p{P}\$\+<=>\^~\|]+", _GPT2_WITHOUT_SPACES, r"\p{N}+", r"[0-9][0-9][0-9]"))),
)  # fmt: skip
SPLIT_RULES: Mapping[str, SplitRule] = MappingProxyType({name: rule for names, rule in _NAMES for name in names})
BEGINS_TEXTS = frozenset(
    {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "tekken"}
)
"""For these names, texts begin with the begin id if the file does not say whether they do."""
