"""Writes ONNX graphs byte by byte, for tests without the package onnx and for graphs that it would not make.

The wire format of protocol buffers: a message is a sequence of fields, each a number with a type, then its content.
"""

from collections.abc import Iterable

Message = bytes


def varint(value: int) -> bytes:
    """Seven bits a byte, lowest first."""
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, content: bytes) -> bytes:
    """A field of bytes: text, or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def number_field(number: int, value: int) -> bytes:
    """A field of a whole number."""
    return varint(number << 3) + varint(value)


def tensor(name: str, place: str | None = None, count: int = 4) -> Message:
    """A tensor of ``count`` zeros, stored inside the file or in another one."""
    message = number_field(1, count) + number_field(2, 1) + field(8, name.encode())
    if place is None:
        return message + field(9, bytes(4 * count))
    entry = field(1, b"location") + field(2, place.encode("utf-8", "surrogatepass"))
    return message + field(13, entry) + number_field(14, 1)


def graph_attribute(name: str, graph: Message) -> Message:
    """An attribute with a graph: a branch, or the body of a loop."""
    return field(1, name.encode()) + field(6, graph) + number_field(20, 5)


def tensor_attribute(name: str, value: Message) -> Message:
    """An attribute with a tensor."""
    return field(1, name.encode()) + field(5, value) + number_field(20, 4)


def node(
    operator: str,
    inputs: Iterable[str] = (),
    outputs: Iterable[str] = (),
    *,
    domain: str = "",
    attributes: Iterable[Message] = (),
) -> Message:
    """One node."""
    return b"".join(
        [
            *(field(1, name.encode()) for name in inputs),
            *(field(2, name.encode()) for name in outputs),
            field(4, operator.encode()),
            *(field(5, attribute) for attribute in attributes),
            field(7, domain.encode()) if domain else b"",
        ]
    )


def value(name: str, count: int = 4, dtype: int = 1) -> Message:
    """An input or output: one axis."""
    return field(1, name.encode()) + field(
        2, field(1, number_field(1, dtype) + field(2, field(1, number_field(1, count))))
    )


def graph(
    nodes: Iterable[Message] = (),
    tensors: Iterable[Message] = (),
    inputs: Iterable[Message] = (),
    outputs: Iterable[Message] = (),
) -> Message:
    """A graph."""
    parts = [(1, nodes), (5, tensors), (11, inputs), (12, outputs)]
    return b"".join([field(2, b"g"), *(field(number, part) for number, found in parts for part in found)])


def function(name: str, nodes: Iterable[Message], domain: str = "ours") -> Message:
    """A function of one input and one output."""
    body = b"".join(field(7, part) for part in nodes)
    imports = field(9, field(1, b"") + number_field(2, 18)) + field(9, field(1, b"ours") + number_field(2, 1))
    return field(1, name.encode()) + field(4, b"x") + field(5, b"y") + body + imports + field(10, domain.encode())


def model(main: Message, functions: Iterable[Message] = ()) -> Message:
    """A whole file."""
    imports = field(8, number_field(2, 18)) + field(8, field(1, b"ours") + number_field(2, 1))
    return number_field(1, 10) + field(7, main) + imports + b"".join(field(25, part) for part in functions)
