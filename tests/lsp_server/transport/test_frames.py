import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp_server.transport.frames import MAX_BODY_BYTES, read_frame
from lsp_server.transport.tcp import loopback_family


def framed(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def bodies(data: bytes) -> list[bytes]:
    stream, found = io.BytesIO(data), []
    while (body := read_frame(stream)) is not None:
        found.append(body)
    return found


@given(st.lists(st.binary()))
def test_bodies_come_out_as_they_went_in(sent):
    assert bodies(b"".join(map(framed, sent))) == sent


def test_headers_may_be_spelled_otherwise_and_be_several():
    data = b"content-type: x; charset=utf-8\r\nCONTENT-LENGTH:2\r\n\r\n{}"
    assert bodies(data) == [b"{}"]
    assert bodies(b"Content-Length: 2\n\n{}") == [b"{}"]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"jsonrpc": "2.0"}',
        b"\r\n",
        b"Content-Type: x\r\n\r\n{}",
        b"Content-Length: many\r\n\r\n{}",
        b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\xfe\x00\n",
        b"x" * 200_000,
    ],
)
def test_the_message_after_a_malformed_one_is_read(bad, caplog):
    assert bodies(framed(b"1") + bad + framed(b"2") + framed(b"3")) == [b"1", b"2", b"3"]
    assert "it is skipped" in caplog.text


@pytest.mark.parametrize("end", [b"", b"Content-Le", b"Content-Length: 9\r\n", b"Content-Length: 9\r\n\r\n{}"])
def test_the_end_of_the_stream_is_the_end_even_within_a_message(end):
    assert bodies(framed(b"1") + end) == [b"1"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_loopback_hosts(host):
    assert loopback_family(host) is not None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org", "", "127.0.0.1.example.org"])
def test_other_hosts(host):
    assert loopback_family(host) is None
