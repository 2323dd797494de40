"""Text to token ids and back, byte for byte, and where the text before a cursor has stable boundaries.

The encoding is the tokenizer's own, without everything that changes or hides text: no begin and end tokens, no
truncation, no Unicode normalisation (a completion must start with the bytes that are typed, so ``e`` + U+0301 stays two
characters), no dropout, and no control tokens (their spelling in a document is ordinary text, because the library does
not know them). SentencePiece's leading space stays if the file asks for it, because it belongs to the first token.
``decode_bytes(encode(text))`` then begins with one more space than ``text``.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import accumulate

from tokenizers import models

from engine.errors import ContractError, RequestError
from engine.text.blow_up import check_expressions, expressions
from engine.text.boundaries import StableBoundaries
from engine.text.byte_pairs import inner_pairs
from engine.text.partial_utf8 import PlaceheldText, hold_places, valid_pieces
from engine.text.prefix_encodings import CONTINUATIONS, Continuations, CutPieces, Pieces, common_length
from engine.text.spellings import SPACE_MARK, byte_alphabet
from engine.text.tokenizer_library import (
    guarded,
    leading_space,
    library_tokenizer,
    merging_model,
    pretokenization,
    renumbered,
    splitter,
)
from engine.text.unwritten_bytes import UnwrittenBytes
from engine.text.vocabulary import TokenizerFile, Vocabulary, read_tokenizer, reading_parts
from engine.types import TokenIds

BLOCK_CHARACTERS = 4096
"""A text longer than two blocks is encoded in blocks of about this size, which end at stable boundaries."""
MOST_SECONDS = 10.0
"""Limit on processor time for one text; usual tokenizers take a second for some million characters."""


class Tokenizer:
    """A tokenizer from the text of its ``tokenizer.json``; see `load_vocabulary` for parameters and errors.

    Safe to use from several threads.
    """

    vocabulary: Vocabulary

    def __init__(
        self,
        tokenizer_json: str,
        control: Collection[int] = (),
        name: str = "this model",
        read: Callable[[str, Collection[int]], tuple[TokenizerFile, Vocabulary]] = read_tokenizer,
    ) -> None:
        """``name`` is the name of the model, for error messages. ``read`` may look up what was read before."""
        file, self.vocabulary = read(tokenizer_json, control)
        self._name = name
        with reading_parts():
            self._leading = leading_space(file)
            self._library = library_tokenizer(file)
            self._pretokenization = pretokenization(file)
            self._renumbered = renumbered(file, self._library)
        self._spaced = file.kind == "sentencepiece"
        self._split = splitter(self._library, name)
        self._model = self._library.model
        self._ordinary = tuple(file.ordinary)
        self._alphabet = byte_alphabet()
        self._single = _single_bytes(self.vocabulary)
        whole = [text for text in file.entries if len(text) == 1] if self._spaced else ()
        self._unwritten = UnwrittenBytes(self.vocabulary.missing, whole)
        if not self._pretokenization.appends_only:  # else nothing is ever tried twice
            check_expressions(list(expressions(file.raw.get("pre_tokenizer"))), self._split)
        self._continuations = Continuations(self._pretokenization.signature)
        self._looks_up = file.ignore_merges
        self._boundaries = StableBoundaries(
            self._pretokenization,
            self._split,
            self._ordinary,
            inner_pairs(self.vocabulary),
            spaced=self._spaced,
            looks_up=file.ignore_merges,
        )
        # If whole entries are looked up, a part of a pre-token may be encoded differently from the whole.
        self._settled = self._pretokenization.appends_only and not file.ignore_merges
        both = (self._model, merging_model(file)) if file.ignore_merges else (self._model,)
        self._writers = tuple(partial(_write_piece, model) for model in both)

    def encode(self, text: str) -> TokenIds:
        """The canonical ids of a text from its beginning. Raises `RequestError` if it holds a lone surrogate."""
        return self._encode_text(self._lead(text) + text)

    def encode_inside(self, text: str) -> TokenIds:
        """The ids of a text that begins inside another one: without a leading space. Raises as `encode`."""
        return self._encode_text(text)

    def encode_bytes(self, data: bytes) -> TokenIds:
        """The canonical ids of exactly these bytes: no leading space is added, and they need not be UTF-8.

        A pre-token ends where it would if invalid bytes were characters: a character cut short at the end of ``data``
        counts as the last one that begins with those bytes (so ``E4 B8`` is a letter, ``F0 9F`` a symbol), any other
        invalid byte as a symbol. Limits: a character of which only one byte is known may turn out to be of another
        class; added tokens are not looked for in invalid data. Raises `RequestError` for a byte without entry.
        """
        try:
            return self._encode_text(data.decode())
        except UnicodeDecodeError:
            return self._encode_spaced_bytes(data) if self._spaced else self._encode_mapped_bytes(hold_places(data))

    def prefix_encodings(self, data: bytes) -> Callable[[int], tuple[TokenIds, ...]]:
        """A function from a length below that of ``data`` to the possible encodings of ``data[:length]``.

        There is one encoding, or more if it depends on the text that follows (see `engine.text.prefix_encodings`). The
        first is the one in ``data``.
        """
        pieces = self._pieces(data)
        if pieces is None:
            return lambda length: (self.encode_bytes(data[:length]),)
        cuts = [CutPieces.of(pieces, self._writers)]
        cuts += [
            CutPieces.of(self._pieces(data + more.encode()) or (), self._writers)
            for more in self._moved_by(data, pieces)
        ]
        return lambda length: tuple(dict.fromkeys([ids for cut in cuts for ids in cut.encodings(length)]))

    def begins_a_text(self, ids: TokenIds) -> bool:
        """Whether ``ids``, without control tokens, are *canonical*: the encoding of a text, or a beginning of one.

        Possible continuations of the text are tried (`engine.text.prefix_encodings.CONTINUATIONS`), but only where they
        can matter.
        """
        data = self.vocabulary.bytes_of(ids)
        alone = self.encode_bytes(data)
        if alone == ids:
            return True
        if self._settled or not (pieces := self._pieces(data)):
            return False
        kept = len(self.vocabulary.bytes_of(ids[: common_length(alone, ids)]))
        following = self._moved_by(data, pieces) if kept >= pieces[-2:][0][1] else ()
        if self._looks_up and _is_utf8(data) and self._is_merged(ids, pieces[-1], kept):
            following = CONTINUATIONS
        return any(self.encode_bytes(data + more.encode())[: len(ids)] == ids for more in following)

    def readable(self, text: str) -> str:
        """The text as the model reads it: characters that the vocabulary cannot write are replaced."""
        return self._unwritten.readable(text)

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes that ids write; control tokens write nothing."""
        return self.vocabulary.bytes_of(ids)

    def split_stable(self, text: str, cursor: int | None = None) -> int:
        """The greatest position up to ``cursor`` (default: the end) that is certain to stay a token boundary.

        Whatever is typed at the cursor, the ids before the position never change, and the ids after it are
        ``encode_bytes`` of the bytes after it. 0 if nothing is certain. `engine.text.boundaries` has the rules.
        """
        return self._boundaries.last(self.readable(text[: len(text) if cursor is None else cursor]))

    def encode_split(self, text: str, boundary: int, *, inside: bool = False) -> tuple[TokenIds, TokenIds]:
        """The ids of ``text`` from its beginning, divided at the character position ``boundary``: context and tail.

        ``inside`` says that the text begins inside another one (`encode_inside`). Both parts come from one encoding of
        the whole.

        - If no token ends at the boundary (it was not a stable one), the last token boundary before it that does not
          cut a character is used. The tail then begins earlier; ``decode_bytes`` of it shows where.
        - A leading space that the tokenizer adds goes with the first token.
        - The tail begins after the last character that the vocabulary cannot write, because it must equal the document.
        """
        unwritten = self._unwritten.end_of_last(text)
        if unwritten > boundary:
            head = text[:unwritten]
            return self.encode_inside(head) if inside else self.encode(head), self.encode_inside(text[unwritten:])
        ids = self.encode_inside(text) if inside else self.encode(text)
        data = self.vocabulary.bytes_of(ids)
        lead = 0 if inside else len(self._lead(text))
        assert len(data) == lead + len(text.encode()), "the encoding has the bytes of the text"
        wanted = lead + len(text[:boundary].encode()) if boundary else 0
        end = kept = 0
        for number, token in enumerate(ids, 1):
            end += len(self.vocabulary.token_bytes[token])
            if end > wanted:
                break
            if end == len(data) or data[end] & 0xC0 != 0x80:
                kept = number
        return ids[:kept], ids[kept:]

    def _pieces(self, data: bytes) -> Pieces | None:
        """The pre-tokens of byte-level text; None if something else takes part: SentencePiece's spaces, or added
        tokens.
        """
        if self._spaced or self._library.pre_tokenizer is None:
            return None
        try:
            held, text = None, data.decode()
        except UnicodeDecodeError:
            held = hold_places(data)
            text = held.text
        if any(token in text for token in self._ordinary):
            return None
        found = self._split(text)  # one character of a mapped piece is one byte
        pieces = tuple(zip(found, accumulate(map(len, found), initial=0), strict=False))
        if held is None:
            return pieces
        true = ((held.data(start, start + len(piece)), held.positions[start]) for piece, start in pieces)
        return tuple((self._spell(part), start) for part, start in true)

    def _spell(self, data: bytes) -> str:
        return "".join([self._alphabet[byte] for byte in data])

    def _is_merged(self, ids: TokenIds, last: tuple[str, int], kept: int) -> bool:
        """Whether ``ids`` end as merges encode the ``last`` pre-token. If the pre-token continues, it is not looked up
        as a whole.
        """
        merged = self._writers[-1](last[0])
        return kept >= last[1] and ids[-len(merged) :] == merged

    def _moved_by(self, data: bytes, pieces: Pieces) -> tuple[str, ...]:
        """The continuations of ``data`` that move the boundary of its last pre-token or of the one before."""
        if self._pretokenization.appends_only or not pieces:
            return ()
        last = data[pieces[max(0, len(pieces) - 2)][1] :]
        # After a part of a character only the rest of it can follow, and that moves no boundary.
        return self._continuations.moving(last.decode(), self._offsets) if _is_utf8(last) else ()

    def _offsets(self, data: bytes) -> list[int]:
        return [start for _, start in self._pieces(data) or ()]

    def _encode_text(self, text: str) -> TokenIds:
        """Encode in blocks, so that the library holds the interpreter lock only for short moments."""
        text = self.readable(text)
        if len(text) <= 2 * BLOCK_CHARACTERS:
            return self._encode_block(text)
        ids: list[int] = []
        started = time.thread_time()
        for block in self._blocks(text):
            ids += self._encode_block(block)
            if time.thread_time() - started > MOST_SECONDS:
                raise ContractError(f"the tokenizer of {self._name} takes too long for a text; use another model")
        return tuple(ids)

    def _blocks(self, text: str) -> Iterator[str]:
        """The text in pieces that can be encoded separately: their ids joined are the ids of the text."""
        start = at = 0
        while len(text) - at > 2 * BLOCK_CHARACTERS:
            at += BLOCK_CHARACTERS
            head = text[max(start, at - BLOCK_CHARACTERS) : at + 1]
            end = at + 1 - len(head) + self._boundaries.last_separated(head)
            if end > max(start, at - BLOCK_CHARACTERS):
                yield text[start:end]
                start = end
        yield text[start:]

    def _encode_block(self, text: str) -> TokenIds:
        if not self._spaced:
            return self._ids_of(text)
        # A literal ``▁`` would be read as a space, so it is written with its byte-fallback tokens.
        mark = tuple(self._single[byte] for byte in SPACE_MARK.encode())
        first, *others = [self._ids_of(piece.replace(" ", SPACE_MARK)) for piece in text.split(SPACE_MARK)]
        return first + tuple(token for ids in others for token in mark + ids)

    def _ids_of(self, spelled: str) -> TokenIds:
        try:
            ids = guarded(self._encode_in_library, spelled, self._name)
        except (UnicodeEncodeError, TypeError) as error:
            raise RequestError("the text holds half of a surrogate pair; it is not valid Unicode") from error
        if self._renumbered:
            return tuple([self._renumbered.get(token, token) for token in ids])
        return tuple(ids)

    def _encode_in_library(self, spelled: str) -> list[int]:
        return self._library.encode(spelled, add_special_tokens=False).ids

    def _encode_mapped_bytes(self, held: PlaceheldText) -> TokenIds:
        """Byte-level: pre-tokens of a text with placeholders, their true bytes through the BPE model."""
        ids: list[int] = []
        end = 0
        for piece in self._split(held.text):
            start, end = end, end + len(piece)
            data = held.data(start, end)
            found = self._model.tokenize(self._spell(data))
            if sum(len(self.vocabulary.token_bytes[token.id]) for token in found) < len(data):
                raise RequestError(f"the vocabulary has no entry for one of the bytes {data.hex(' ')}")
            ids += [token.id for token in found]
        return tuple(ids)

    def _encode_spaced_bytes(self, data: bytes) -> TokenIds:
        """SentencePiece-style: each invalid byte is a fallback token, which takes part in no merge."""
        ids: list[int] = []
        for piece in valid_pieces(data):
            if isinstance(piece, str):
                ids += self._encode_text(piece)
            elif piece in self._single:
                ids.append(self._single[piece])
            else:
                raise RequestError(f"the vocabulary has no entry for byte 0x{piece:02X}")
        return tuple(ids)

    def _lead(self, text: str) -> str:
        if not text or self._leading == "never" or (self._leading == "unless-space" and text[0] in (" ", SPACE_MARK)):
            return ""
        return " "


def _write_piece(model: models.Model, piece: str) -> TokenIds:
    return tuple([token.id for token in model.tokenize(piece)])


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _single_bytes(vocabulary: Vocabulary) -> dict[int, int]:
    """The id of every byte that is an entry."""
    token_bytes = vocabulary.token_bytes
    return {token_bytes[token][0]: token for token in vocabulary.candidate_ids.tolist() if len(token_bytes[token]) == 1}
