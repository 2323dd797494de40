"""llama.cpp as a function from tokens to logits, through the C interface of the library in ``xllamacpp``.

Its server gives only the most likely tokens. The large option structures are the library's own defaults, in which only
three numbers at the beginning are set. These are checked first, so that a library with another layout is refused. This
works on 64-bit processors with the System V calling convention (Linux, macOS).
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine import DocumentError
from engine.types import FloatArray

_DEFAULTS = (512, 2048, 512)
"""The first numbers of the library's context options: positions, the tokens of a pass, and the tokens of a part of
it.
"""


LENGTHENED = 16
"""Tokens for which there is room beyond the bytes of a text."""


class _Options(ctypes.Structure):
    _fields_ = (("words", ctypes.c_uint32 * 256),)


class _Batch(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embedding", ctypes.POINTER(ctypes.c_float)),
        ("position", ctypes.POINTER(ctypes.c_int32)),
        ("sequences", ctypes.POINTER(ctypes.c_int32)),
        ("sequence", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("wanted", ctypes.POINTER(ctypes.c_int8)),
    )


class LlamaModel:
    """A GGUF file in llama.cpp, on the CPU."""

    def __init__(self, file: Path, context: int, threads: int) -> None:
        """Raises `DocumentError` if the library is missing, is another one, or refuses the file."""
        self._library = library = _library()
        self._log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        library.llama_log_set(self._log, None)
        self._model = library.llama_model_load_from_file(str(file).encode(), library.llama_model_default_params())
        if not self._model:
            raise DocumentError(f"llama.cpp refuses {file}")
        options = library.llama_context_default_params()
        if tuple(options.words[:3]) != _DEFAULTS:
            raise DocumentError("this xllamacpp has another llama.cpp than is known here; take one of 2026")
        options.words[:3] = (context, context, min(context, 512))
        self._context = library.llama_init_from_model(self._model, options)
        if not self._context:
            raise DocumentError(f"llama.cpp has no memory for {file}")
        library.llama_set_n_threads(self._context, threads, threads)
        self._batch = library.llama_batch_init(context, 0, 1)
        self.vocabulary = int(library.llama_vocab_n_tokens(library.llama_model_get_vocab(self._model)))

    def forward(self, ids: Sequence[int], start: int, rows: Sequence[int]) -> FloatArray:
        """Add ``ids`` at position ``start``; logits ``[len(rows), V]`` after those of ``rows``. 0 begins again."""
        library, batch = self._library, self._batch
        if start == 0:
            library.llama_memory_clear(library.llama_get_memory(self._context), False)
        batch.count = len(ids)
        wanted = set(rows)
        for place, token in enumerate(ids):
            batch.token[place], batch.position[place] = token, start + place
            batch.sequences[place], batch.sequence[place][0] = 1, 0
            batch.wanted[place] = place in wanted
        if library.llama_decode(self._context, batch) != 0:
            raise DocumentError("llama.cpp failed while running")
        found = [library.llama_get_logits_ith(self._context, row) for row in rows]
        return np.array([np.ctypeslib.as_array(row, (self.vocabulary,)) for row in found], np.float32)


class LlamaVocabulary:
    """The tokenizer of a GGUF file in llama.cpp."""

    def __init__(self, file: Path) -> None:
        """Raises `DocumentError` if the library is missing or refuses the file."""
        self._library = library = _library()
        self._log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        library.llama_log_set(self._log, None)
        self._model = library.llama_model_load_from_file(str(file).encode(), library.llama_model_default_params())
        if not self._model:
            raise DocumentError(f"llama.cpp refuses {file}")
        self._vocabulary = library.llama_model_get_vocab(self._model)

    def encode(self, text: str) -> tuple[int, ...]:
        """The ids of a text, in which control tokens are ordinary text, without a begin id."""
        data = text.encode()
        most = len(data) + LENGTHENED
        found = (ctypes.c_int32 * most)()
        count = self._library.llama_tokenize(self._vocabulary, data, len(data), found, most, False, False)
        return tuple(found[:count])

    def close(self) -> None:
        """Free the memory of the file."""
        self._library.llama_model_free(self._model)


def _library() -> ctypes.CDLL:
    try:
        import xllamacpp
    except ImportError:
        raise DocumentError("xllamacpp is missing; pip install xllamacpp") from None
    library = ctypes.CDLL(str(Path(xllamacpp.__file__).parent / "xllamacpp.abi3.so"))
    pointer, number = ctypes.c_void_p, ctypes.c_int32
    for name, result, arguments in (
        ("llama_model_default_params", _Options, ()),
        ("llama_context_default_params", _Options, ()),
        ("llama_log_set", None, (pointer, pointer)),
        ("llama_model_load_from_file", pointer, (ctypes.c_char_p, _Options)),
        ("llama_init_from_model", pointer, (pointer, _Options)),
        ("llama_set_n_threads", None, (pointer, number, number)),
        ("llama_model_get_vocab", pointer, (pointer,)),
        ("llama_model_free", None, (pointer,)),
        ("llama_vocab_n_tokens", number, (pointer,)),
        (
            "llama_tokenize",
            number,
            (pointer, ctypes.c_char_p, number, ctypes.POINTER(number), number, ctypes.c_bool, ctypes.c_bool),
        ),
        ("llama_get_memory", pointer, (pointer,)),
        ("llama_memory_clear", None, (pointer, ctypes.c_bool)),
        ("llama_batch_init", _Batch, (number, number, number)),
        ("llama_decode", number, (pointer, _Batch)),
        ("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), (pointer, number)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
