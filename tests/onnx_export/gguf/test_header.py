"""False headers: cut off, swapped, with counts and offsets of any size. They cause no crash and take no memory."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from engine.errors import ExportError
from onnx_export.convert import describe
from onnx_export.export import peak_memory_bytes
from onnx_export.gguf.header import read_header
from tests.onnx_export.gguf.files import write_model

ALLOWED_BYTES = 200 << 20


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("valid") / "m.gguf"
    write_model(path)
    return path.read_bytes()


def header(version: int = 3, tensors: int = 0, fields: int = 0, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, fields) + rest


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no GGUF file .it is empty"),
        (b"GG", "no GGUF file"),
        (b"GGML" + bytes(60), "no GGUF file"),
        (b"GGUF\x03", "cut off within its header"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (header(1), "version 1"),
        (header(99), "version 99"),
        (header(fields=1 << 60), "claims 0 tensors and"),
        (header(tensors=1 << 60), "claims 1152921504606846976 tensors"),
        (header(fields=1), "cut off within its header"),
        (header(fields=1, rest=struct.pack("<Q", 1 << 62)), "claims 4611686018427387904 bytes"),
        (header(fields=1, rest=text(b"a") + struct.pack("<IQ", 8, 1 << 40)), "claims 1099511627776 bytes"),
        (header(fields=1, rest=text(b"a") + struct.pack("<I", 77)), "unknown type 77"),
        (header(fields=1, rest=text(b"a") + struct.pack("<IIQ", 9, 8, 1 << 50)), "claims 1125899906842624 strings"),
        (header(fields=1, rest=text(b"a") + struct.pack("<IIQ", 9, 10, 1 << 61)), "cut off"),
        (header(fields=1, rest=text(b"a") + struct.pack("<IIQ", 9, 9, 1)), "unknown type 9"),
        (header(fields=2, rest=2 * (text(b"a") + struct.pack("<IB", 7, 1))), "field 'a' twice"),
        (header(tensors=1, rest=text(b"t") + struct.pack("<I", 9)), "9 axes"),
        (header(tensors=1, rest=text(b"t") + struct.pack("<IQIQ", 1, 4, 999, 0)), "unknown type .999"),
        (header(tensors=1, rest=text(b"t") + struct.pack("<IQIQ", 1, 5, 2, 0)), "shape of"),
        (header(tensors=1, rest=text(b"t") + struct.pack("<IQIQ", 1, 0, 0, 0)), "shape of"),
        (header(tensors=1, rest=text(b"t") + struct.pack("<IQIQ", 1, 1 << 62, 0, 0)), "cut off within the tensor 't'"),
        (
            header(tensors=1, rest=text(b"t") + struct.pack("<IQQQQIQ", 4, *[1 << 32] * 4, 0, 0)),
            "cut off within the tensor 't'",
        ),
        (header(tensors=1, rest=text(b"t") + struct.pack("<IQIQ", 1, 8, 0, (1 << 64) - 64)), "cut off"),
        (
            header(
                tensors=2, rest=b"".join(text(n) + struct.pack("<IQIQ", 1, 8, 0, 0) for n in (b"a", b"b")) + bytes(99)
            ),
            "in one place",
        ),
        (
            header(fields=1, rest=text(b"general.alignment") + struct.pack("<II", 4, 24)),
            "alignment of 24",
        ),
    ],
)
def test_a_header_that_lies_is_refused_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(ExportError, match=message) as caught:
        read_header(path)
    assert "\n" not in str(caught.value)
    found = describe(path)
    assert not found.usable
    assert found.bytes == len(data)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be read"):
        read_header(tmp_path / "none.gguf")
    with pytest.raises(ExportError, match="cannot be read"):
        read_header(tmp_path)
    assert "cannot be read" in describe(tmp_path / "none.gguf").reason


def test_a_cut_anywhere_is_told(tmp_path: Path, valid: bytes) -> None:
    path = tmp_path / "m.gguf"
    for length in [*range(0, 400), *range(400, len(valid) - 1, 1777), len(valid) - 1]:
        path.write_bytes(valid[:length])
        with pytest.raises(ExportError):
            read_header(path)


def set_bytes(rng: np.random.Generator, data: bytearray, end: int) -> None:
    for _ in range(int(rng.integers(1, 5))):
        data[int(rng.integers(0, end))] = int(rng.integers(0, 256))


def set_number(rng: np.random.Generator, data: bytearray, end: int) -> None:
    at = int(rng.integers(4, end - 8))
    value = int(rng.choice(np.array([0, 1, 255, 1 << 16, (1 << 31) - 1, 1 << 31, 1 << 40, 1 << 62, (1 << 63) - 1])))
    data[at : at + 8] = struct.pack("<Q", value)


def cut(rng: np.random.Generator, data: bytearray, end: int) -> None:
    del data[int(rng.integers(0, end)) :]


def repeat(rng: np.random.Generator, data: bytearray, end: int) -> None:
    start, stop = sorted(int(at) for at in rng.integers(0, end, 2))
    data[stop:stop] = data[start:stop]


def refusal(path: Path) -> str:
    try:
        read_header(path)
    except ExportError as error:
        return str(error)
    return ""


def test_headers_changed_at_random(tmp_path: Path) -> None:
    """Each is read or refused in one line; none takes more memory than its size. `make test-thorough` tries 10,000."""
    rng = np.random.default_rng(16)
    path = tmp_path / "m.gguf"
    write_model(path, tensors={"token_embd.weight": np.zeros((4, 32), np.float32)})
    valid = path.read_bytes()
    read_header(path)
    before, refused, tried = peak_memory_bytes(), 0, max(400, settings().max_examples)
    for number in range(tried):
        data = bytearray(valid)
        # Every second change is in the fields before the vocabulary, where most of the counts are.
        CHANGES[number % len(CHANGES)](rng, data, 400 if number % 2 else len(data))
        path.write_bytes(data)
        message = refusal(path)
        assert "\n" not in message
        refused += bool(message)
    assert refused > tried // 4
    assert peak_memory_bytes() - before < ALLOWED_BYTES


CHANGES: list[Callable[[np.random.Generator, bytearray, int], None]] = [set_bytes, set_number, cut, repeat]
