"""How families spell fill-in-the-middle, found by the control tokens that a tokenizer has.

The class of a model does not tell: DeepSeek-Coder, Code Llama and Seed-Coder are all Llamas. So the table is searched
by tokens, and the first row whose three tokens are added tokens of the tokenizer counts. Sources are the model cards,
and the papers named at each row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.errors import ModelFolderError
from engine.model_folder.manifest import FimOrder, FimTemplates, RepositoryTokens, TemplatePart

# In a template these stand for the control tokens of a row; "prefix" and "suffix" stand for the document's text.
_PRE, _SUF, _MID = "<pre>", "<suf>", "<mid>"
_STARS = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
_PSM = (_PRE, "prefix", _SUF, "suffix", _MID)
_SPM = (_PRE, _SUF, "suffix", _MID, "prefix")


@dataclass(frozen=True, slots=True)
class FimSpelling:
    """One convention: control tokens, templates (the default first), further tokens that end a middle, and the tokens
    of files and repositories, with what `RepositoryTokens` says of them.
    """

    name: str
    prefix: str
    suffix: str
    middle: str
    templates: Mapping[FimOrder, tuple[str, ...]]
    ends: tuple[str, ...] = ()
    file: str | None = None
    repository: str | None = None
    after_repository: str = ""
    separates: bool = False
    path_in_prefix: bool = False


SPELLINGS: Sequence[FimSpelling] = (
    # Qwen2.5-Coder (arXiv 2409.12186, figure 4): the path stands before the template.
    FimSpelling(
        "qwen",
        "<|fim_prefix|>",
        "<|fim_suffix|>",
        "<|fim_middle|>",
        {"psm": _PSM},
        ends=("<|endoftext|>", "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>"),
        file="<|file_sep|>",
        repository="<|repo_name|>",
        after_repository="\n",
    ),
    # CodeGemma (arXiv 2406.11409, figure 2) writes the same three, and its own token between files.
    FimSpelling(
        "codegemma",
        "<|fim_prefix|>",
        "<|fim_suffix|>",
        "<|fim_middle|>",
        {"psm": _PSM, "spm": _SPM},
        ends=("<|file_separator|>",),
        file="<|file_separator|>",
        separates=True,
    ),
    # Only the same three: a model of our own recipe, or one without file names.
    FimSpelling("bars", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", {"psm": _PSM}),
    # StarCoder2 (arXiv 2402.19173, section 5.1): files are rearranged with their paths in them.
    FimSpelling(
        "starcoder2",
        *_STARS,
        {"psm": _PSM, "spm": _SPM},
        ends=("<|endoftext|>", "<fim_pad>", "<file_sep>"),
        file="<file_sep>",
        repository="<repo_name>",
        path_in_prefix=True,
    ),
    # StarCoder (arXiv 2305.06161, section 5.1: <reponame>name<filename>path, then the content) and Granite Code (arXiv
    # 2405.04324). It is not published where the path stands with a template. We put it before, as with Qwen.
    FimSpelling(
        "starcoder",
        *_STARS,
        {"psm": _PSM, "spm": _SPM},
        ends=("<|endoftext|>", "<fim_pad>", "<filename>"),
        file="<filename>",
        repository="<reponame>",
    ),
    FimSpelling("stars", *_STARS, {"psm": _PSM, "spm": _SPM}, ends=("<fim_pad>",)),
    # SantaCoder (arXiv 2301.03988): hyphens.
    FimSpelling(
        "santacoder",
        "<fim-prefix>",
        "<fim-suffix>",
        "<fim-middle>",
        {"psm": _PSM, "spm": _SPM},
        ends=("<|endoftext|>", "<fim-pad>"),
    ),
    # DeepSeek-Coder (arXiv 2401.14196, section 3.1.2): the hole stands where the middle was, files have no token.
    FimSpelling(
        "deepseek",
        "<｜fim▁begin｜>",
        "<｜fim▁hole｜>",
        "<｜fim▁end｜>",
        {"psm": _PSM},
        ends=("<｜end▁of▁sentence｜>", "<|EOT|>"),
    ),
    # Code Llama (arXiv 2308.12950, section 2.3): the suffix is encoded without the tokenizer's leading space.
    FimSpelling("codellama", "▁<PRE>", "▁<SUF>", "▁<MID>", {"psm": _PSM, "spm": _SPM}, ends=("▁<EOT>",)),
    # Codestral: suffix first, the prefix runs into the middle, [MIDDLE] is not written.
    FimSpelling("codestral", "[PREFIX]", "[SUFFIX]", "[MIDDLE]", {"spm": (_SUF, "suffix", _PRE, "prefix")}),
    # Seed-Coder (arXiv 2506.03524): suffix first, the middle after both.
    FimSpelling(
        "seed",
        "<[fim-prefix]>",
        "<[fim-suffix]>",
        "<[fim-middle]>",
        {"spm": (_SUF, "suffix", _PRE, "prefix", _MID)},
    ),
)


def find_spelling(added: Mapping[str, int]) -> FimSpelling | None:
    """The row whose tokens are among a tokenizer's added tokens (spelling to id); None if the model cannot fill in a
    middle.

    A row with a file token needs that token too. It distinguishes rows that have the same three tokens.
    """
    for spelling in SPELLINGS:
        tokens = {spelling.prefix, spelling.suffix, spelling.middle}
        if tokens <= added.keys() and (spelling.file is None or spelling.file in added):
            return spelling
    return None


def fim_templates(added: Mapping[str, int], orders: Sequence[FimOrder] | None = None) -> FimTemplates | None:
    """Templates as control ids from the tokens that a tokenizer has, or None if it has none.

    ``orders`` overrides the orders that the convention allows; the first of them is the default. Errors:
    ModelFolderError if ``orders`` names one that the convention does not have.
    """
    spelling = find_spelling(added)
    if spelling is None:
        return None
    ids = {_PRE: added[spelling.prefix], _SUF: added[spelling.suffix], _MID: added[spelling.middle]}

    def filled(parts: tuple[str, ...]) -> tuple[TemplatePart, ...]:
        return tuple("prefix" if part == "prefix" else "suffix" if part == "suffix" else ids[part] for part in parts)

    known: dict[FimOrder, tuple[str, ...]] = dict(spelling.templates)
    if known.get("psm") == _PSM:
        known.setdefault("spm", _SPM)
    chosen = tuple(orders) if orders else tuple(spelling.templates)
    for order in chosen:
        if order not in known:
            raise ModelFolderError(f"fim_orders names {order!r}, which the tokens of {spelling.name} do not allow")
    return FimTemplates(templates={order: filled(known[order]) for order in chosen}, default=chosen[0])


def end_ids(added: Mapping[str, int]) -> tuple[int, ...]:
    """Ids that end a middle beside those of config.json."""
    spelling = find_spelling(added)
    return () if spelling is None else tuple(added[token] for token in spelling.ends if token in added)


def repository_tokens(added: Mapping[str, int]) -> RepositoryTokens | None:
    """The tokens of files and repositories, or None if the family has none."""
    spelling = find_spelling(added)
    if spelling is None or spelling.file is None:
        return None
    return RepositoryTokens(
        file=added[spelling.file],
        repository=None if spelling.repository is None else added.get(spelling.repository),
        after_repository=spelling.after_repository,
        separates=spelling.separates,
        path_in_prefix=spelling.path_in_prefix,
    )
