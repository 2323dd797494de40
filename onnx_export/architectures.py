"""The families of models that can be exported: one table, one row a family.

A row is added once the checks of `validate.py` pass on a checkpoint of the family; nothing else in this package asks
for a model's type.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from engine.errors import ExportError
from engine.manifest import ControlIds, FimOrder, FimTemplates, GraphNames, TemplatePart


@dataclass(frozen=True, slots=True)
class FimSpelling:
    """How a family spells its fill-in-the-middle control tokens, and which orders it was trained on."""

    prefix: str
    suffix: str
    middle: str
    orders: tuple[FimOrder, ...] = ("psm",)


@dataclass(frozen=True, slots=True)
class Family:
    """One supported family: `model_type` as in config.json, the class that must stand beside it, its graph's names.

    `embedding` and `head` are names of nodes in the exported graph, which graph surgery looks for.
    """

    model_type: str
    architecture: str
    fim: tuple[FimSpelling, ...]
    names: GraphNames = field(default_factory=GraphNames)
    embedding: str = "/model/embed_tokens"
    head: str = "/lm_head"


STAR_SPELLING = FimSpelling("<fim_prefix>", "<fim_suffix>", "<fim_middle>", ("psm", "spm"))
BAR_SPELLING = FimSpelling("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "llama": Family("llama", "LlamaForCausalLM", fim=(BAR_SPELLING, STAR_SPELLING)),
    }
)


def family_of(config: Mapping[str, object]) -> Family:
    """The row for a decoded config.json. Errors: ExportError where the family is not in the table."""
    known = ", ".join(sorted(FAMILIES))
    family = FAMILIES.get(str(config.get("model_type")))
    if family is None:
        raise ExportError(
            f"models of type {config.get('model_type')!r} cannot be exported; the supported types are: {known}"
        )
    classes = config.get("architectures")
    if not isinstance(classes, Sequence) or family.architecture not in classes:
        raise ExportError(
            f"config.json names the class {classes!r}, not {family.architecture}; only causal language models of "
            f"these types can be exported: {known}"
        )
    return family


def fim_templates(
    family: Family, added: Mapping[str, int], orders: Sequence[FimOrder] | None = None
) -> FimTemplates | None:
    """Templates from the control tokens that a tokenizer has (`added`: spelling to id), or None where it has none.

    `orders` overrides the orders that the family was trained on; the first of them is the default.
    """
    for spelling in family.fim:
        ids = [added.get(token) for token in (spelling.prefix, spelling.suffix, spelling.middle)]
        prefix, suffix, middle = ids
        if prefix is None or suffix is None or middle is None:
            continue
        all_templates: dict[FimOrder, tuple[TemplatePart, ...]] = {
            "psm": (prefix, "prefix", suffix, "suffix", middle),
            "spm": (prefix, suffix, "suffix", middle, "prefix"),
        }
        chosen = tuple(orders) if orders else spelling.orders
        return FimTemplates(templates={order: all_templates[order] for order in chosen}, default=chosen[0])
    return None


def control_ids(config: Mapping[str, object]) -> ControlIds:
    """Begin, end and padding ids of a decoded config.json. Errors: ExportError where it names no end."""
    end = config.get("eos_token_id")
    ends = tuple(end) if isinstance(end, list) else (() if end is None else (end,))
    if not ends or not all(isinstance(number, int) for number in ends):
        raise ExportError("config.json names no eos_token_id, so no completion could end; add it and export again")
    begin, pad = config.get("bos_token_id"), config.get("pad_token_id")
    return ControlIds(
        begin=begin if isinstance(begin, int) else None,
        end=tuple(int(number) for number in ends),
        pad=pad if isinstance(pad, int) else None,
    )
