"""The tokenizer: byte-level BPE whose entries may span words ("superwords"), never a line break.

A line break with the indentation after it is one pre-token, a digit is one pre-token, everything else of a line is
one pre-token. So an entry may be `for i in range(len(` or `if __name__ == "__main__":`, which makes decoding fast and
makes healing matter. Single digits keep numbers regular. In the ordinary split, there for comparison, words and runs of
punctuation are pre-tokens of their own, with the space before them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from onnx_export.train.corpus import Document

SPLITS: Mapping[str, str] = MappingProxyType(
    {
        "superword": r"\n+[ \t]*|[0-9]|[^\n0-9]+",
        "ordinary": r"\n+[ \t]*|[0-9]| ?[^\s\w]+| ?[^\W\d]+|[ \t\r\f\v]+",
    }
)
VOCABULARY_SIZE = 16_384
# An entry that occurs less often is typical of one file, not of the language.
MIN_FREQUENCY = 20
MAX_TOKEN_CHARS = 40
TRAINING_BYTES = 30_000_000  # more text gives the same entries and takes longer

END_OF_TEXT = "<|endoftext|>"
FIM_PREFIX = "<|fim_prefix|>"
FIM_SUFFIX = "<|fim_suffix|>"
FIM_MIDDLE = "<|fim_middle|>"
FILE_SEPARATOR = "<|file_sep|>"
CONTROL_TOKENS = (END_OF_TEXT, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE, FILE_SEPARATOR)


@dataclass(frozen=True)
class ControlIds:
    """Ids of the control tokens. In the model's input they are ids, never text."""

    end_of_text: int
    fim_prefix: int
    fim_suffix: int
    fim_middle: int
    file_separator: int


def train_tokenizer(
    documents: Sequence[Document], vocabulary_size: int = VOCABULARY_SIZE, split: str = "superword"
) -> Tokenizer:
    """Train on `documents`, each according to its weight; `split` is a name of SPLITS.

    The result encodes text that looks like a control token as ordinary text.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLITS[split]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=MIN_FREQUENCY,
        max_token_length=MAX_TOKEN_CHARS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(documents), trainer)
    return text_only(tokenizer)


def text_only(tokenizer: Tokenizer) -> Tokenizer:
    """Make `encode` treat the spelling of a control token as text; the flag is not saved in tokenizer.json."""
    tokenizer.encode_special_tokens = True
    return tokenizer


def control_ids(tokenizer: Tokenizer) -> ControlIds:
    """Look up the control tokens. Asserts that the tokenizer is one of ours."""
    found = [tokenizer.token_to_id(token) for token in CONTROL_TOKENS]
    ids = [number for number in found if number is not None]
    assert len(ids) == len(CONTROL_TOKENS), "tokenizer without our control tokens"
    return ControlIds(*ids)


def _texts(documents: Sequence[Document]) -> Iterable[str]:
    """Whole files, evenly spaced: every tenth document of those with weight 0.1, and at most TRAINING_BYTES in all."""
    total = sum(len(document.text) * min(1.0, document.weight) for document in documents)
    factor = min(1.0, TRAINING_BYTES / max(1.0, total))
    due = 0.5
    for document in documents:
        due += factor * min(1.0, document.weight)
        if due >= 1.0:
            due -= 1.0
            yield document.text
