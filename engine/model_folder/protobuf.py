"""The fields of protocol buffers, read as they lie: https://protobuf.dev/programming-guides/encoding/."""

import mmap
from collections.abc import Iterator
from typing import TypeAlias

Data: TypeAlias = bytes | mmap.mmap
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""How the content of a field is written."""
_LONGEST_VARINT = 10


class MalformedError(Exception):
    """The bytes are no message."""


def fields(data: Data, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of the message at ``start``: number, how it is written, and where its content begins and ends.

    Raises `MalformedError` where protocol buffers would.
    """
    while start < end:
        tag, start = varint(data, start, end)
        wire = tag & 7
        if wire == BYTES:
            length, start = varint(data, start, end)
            if length > end - start:
                raise MalformedError
            yield tag >> 3, wire, start, start + length
            start += length
        elif wire == VARINT:
            begin = start
            _, start = varint(data, start, end)
            yield tag >> 3, wire, begin, start
        elif wire in (FIXED64, FIXED32):
            begin, start = start, start + (8 if wire == FIXED64 else 4)
            yield tag >> 3, wire, begin, start
        else:  # groups, which ONNX never had
            raise MalformedError
    if start > end:
        raise MalformedError


def varint(data: Data, start: int, end: int) -> tuple[int, int]:
    """A number, seven bits a byte, lowest first; and where it ends. Raises `MalformedError` where it does not end."""
    if start < end and (byte := data[start]) < 0x80:
        return byte, start + 1
    value = shift = 0
    for at in range(start, min(end, start + _LONGEST_VARINT)):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
    raise MalformedError
