"""How the server's process begins and ends: exit status, a client that dies, what is written to which stream."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pytest

from tests.e2e.clients import FAKE_SERVER, ROOT, TIMEOUT_S, URI, environment


def framed(**message: Any) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def initialize(process_id: int | None = None, token: str | None = None) -> bytes:
    params: dict[str, Any] = {"processId": process_id, "rootUri": None, "capabilities": {}}
    if token:
        params["initializationOptions"] = {"token": token}
    return framed(id=1, method="initialize", params=params) + framed(method="initialized", params={})


def completion(text: str) -> bytes:
    document = {"uri": URI, "languageId": "python", "version": 1, "text": text}
    params = {
        "textDocument": {"uri": URI},
        "position": {"line": 0, "character": len(text)},
        "context": {"triggerKind": 2},
    }
    return framed(method="textDocument/didOpen", params={"textDocument": document}) + framed(
        id=2, method="textDocument/inlineCompletion", params=params
    )


SHUTDOWN, EXIT = framed(id=9, method="shutdown"), framed(method="exit")


def answers(stream: IO[bytes]) -> list[dict[str, Any]]:
    """Every message of a stream, which must hold nothing else."""
    found = []
    while line := stream.readline():
        assert line.startswith(b"Content-Length: "), line
        while (header := stream.readline()).strip():
            assert header.startswith(b"Content-Type: ")
        found.append(json.loads(stream.read(int(line.split(b":")[1]))))
    return found


def run(data: bytes, *arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*FAKE_SERVER, *arguments],
        input=data,
        capture_output=True,
        timeout=TIMEOUT_S,
        env=environment(**more),
        cwd=ROOT,
    )


def start(**more: str) -> "subprocess.Popen[bytes]":
    """A server with its three streams as pipes."""
    pipe = subprocess.PIPE
    return subprocess.Popen(FAKE_SERVER, stdin=pipe, stdout=pipe, stderr=pipe, env=environment(**more), cwd=ROOT)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (initialize() + SHUTDOWN + EXIT, 0),
        (initialize() + SHUTDOWN, 0),
        (initialize() + EXIT, 1),
        (initialize(), 1),
        (b"", 1),
    ],
    ids=["exit after shutdown", "end after shutdown", "exit", "end", "nothing"],
)
def test_the_exit_status_is_that_of_the_specification(data, status):
    assert run(data).returncode == status


def test_standard_output_holds_messages_only_and_standard_error_no_text_of_a_document():
    process = start()
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(initialize() + completion("hunter2 !print"))
        process.stdin.flush()
        first = process.stdout.readline()  # the answer to initialize; the other one may take a moment
        process.stdout.read(len(b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n"))
        process.stdout.read(int(first.split(b":")[1]))
        second = process.stdout.readline()
        process.stdout.read(len(b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n"))
        answer = json.loads(process.stdout.read(int(second.split(b":")[1])))
        assert answer["result"]["items"][0]["insertText"] == "printone"
        process.stdin.write(completion("hunter2 !crash") + b"hunter2\r\n" + framed(id=3, method=f"{'x' * 9}hunter"))
        process.stdin.write(SHUTDOWN + EXIT)
        process.stdin.close()
        rest = answers(process.stdout)
        log = process.stderr.read().decode()
    assert process.returncode == 0
    assert {message.get("id") for message in rest} == {2, 3, 9}
    assert "printed by a library" in log
    assert "the model is loaded" in log
    assert "hunter2" not in log


def test_the_server_leaves_when_the_process_of_its_client_dies():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as client:
        server = start()
        with server:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(initialize(client.pid))
            server.stdin.flush()
            server.stdout.readline()
            client.kill()
            client.wait()
            # Its input stays open, so only the watchdog can end it.
            assert server.wait(TIMEOUT_S) == 1


def test_an_interrupt_ends_the_server_quietly():
    server = start()
    with server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stderr is not None
        server.stdin.write(initialize())
        server.stdin.flush()
        server.stdout.readline()
        server.send_signal(signal.SIGINT)
        assert server.wait(TIMEOUT_S) == 1
        assert b"Traceback" not in server.stderr.read()


@contextmanager
def listening(host: str = "127.0.0.1", *token_file: str) -> Iterator[tuple["subprocess.Popen[bytes]", int, str]]:
    """A server on TCP, its port, and the token that it printed."""
    command = [*FAKE_SERVER, host, "0", *token_file]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment(), cwd=ROOT) as server:
        assert server.stderr is not None
        words = server.stderr.readline().decode().replace(",", "").split()
        try:
            yield server, int(words[words.index("port") + 1]), words[-1]
        finally:
            server.kill()


def said_to(port: int, data: bytes) -> bytes:
    """What a server sends to a client until it closes the connection."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as client, suppress(ConnectionError):
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        while received := client.recv(1 << 16):
            answer += received
    return answer


INSIDE = initialize() + completion("x")
STRANGERS = {
    "nothing": b"",
    "a page that gets": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a page that posts": b"POST / HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 999\r\n\r\n" + INSIDE,
    "a web socket": b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "encryption": b"\x16\x03\x01\x02\x00\x01",
    "noise": bytes(range(256)) * 40,
    "a frame too long": b"Content-Length: 999999999\r\n\r\n",
    "no JSON": b"Content-Length: 1\r\n\r\n{",
    "no token": INSIDE,
    "another token": initialize(None, "x" * 32),
    "another method": framed(id=1, method="shutdown", params={"initializationOptions": {"token": "x"}}),
}
TOLD = ("no JSON", "no token", "another token", "another method")
"""Clients that speak the protocol get an error."""


def test_tcp_serves_one_client_that_shows_the_token_whoever_comes_before_it():
    with listening() as (server, port, token):
        for name, data in STRANGERS.items():
            answer = said_to(port, data)
            assert b"capabilities" not in answer, name
            assert (b"the token is missing or wrong" in answer) == (name in TOLD), name
        with ExitStack() as open_ones:
            for _ in range(4):  # they say nothing and disturb nobody
                open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S))
            client = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S))
            stream = client.makefile("rwb")
            with stream:
                stream.write(initialize(None, token) + completion("x"))
                stream.flush()
                received = client.recv(1 << 16)
                assert received.startswith(b"Content-Length")
                with pytest.raises(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=1)
                while b"insertText" not in received:
                    received += client.recv(1 << 16)
                stream.write(SHUTDOWN + EXIT)
                stream.flush()
                assert server.wait(TIMEOUT_S) == 0


def test_a_tcp_client_that_leaves_ends_the_server():
    with listening("localhost") as (server, port, token):
        assert b'"capabilities"' in said_to(port, initialize(None, token))
        assert server.wait(TIMEOUT_S) == 1


@pytest.mark.skipif(os.name == "nt", reason="whether others can read a file is told otherwise there")
def test_the_token_may_come_from_a_file_that_nobody_else_can_read(tmp_path):
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    file.chmod(0o644)
    refused = run(b"", "127.0.0.1", "0", str(file))
    assert refused.returncode == 1
    assert b"others can read" in refused.stderr
    file.chmod(0o600)
    with listening("127.0.0.1", str(file)) as (_, port, printed):
        assert printed == str(port)
        assert b'"capabilities"' in said_to(port, initialize(None, "0123456789abcdef"))
    file.write_text("short")
    assert b"too short" in run(b"", "127.0.0.1", "0", str(file)).stderr
    assert b"cannot serve" in run(b"", "127.0.0.1", "0", str(tmp_path / "none")).stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])
def test_other_addresses_are_refused_with_a_clear_line(host):
    process = run(b"", host, "4000")
    assert process.returncode == 2
    assert b"is no loopback address" in process.stderr
    assert process.stderr.count(b"\n") == 1


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = run(b"", "127.0.0.1", str(taken.getsockname()[1]))
    assert process.returncode == 1
    assert b"cannot serve on 127.0.0.1 port" in process.stderr


@pytest.mark.skipif(os.name == "nt", reason="a closed standard error is a matter of POSIX shells")
def test_it_serves_with_standard_error_closed():
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *FAKE_SERVER]
    data = initialize() + SHUTDOWN + EXIT
    process = subprocess.run(
        command, input=data, stdout=subprocess.PIPE, timeout=TIMEOUT_S, env=environment(), cwd=ROOT
    )
    assert process.returncode == 0
    assert b'"id": 9' in process.stdout


@pytest.mark.skipif(os.name == "nt", reason="a closed standard input is a matter of POSIX shells")
def test_without_standard_input_it_says_so():
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *FAKE_SERVER]
    process = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, env=environment(), cwd=ROOT)
    assert process.returncode == 1
    assert process.stderr.decode() == "midtoken error: cannot serve on the standard streams: " + (
        "standard input or output is closed\n"
    )


@contextmanager
def started(complaint: bytes, **more: str) -> Iterator[tuple[IO[bytes], "subprocess.Popen[bytes]"]]:
    """A server that has answered initialize and shown ``complaint``, with its standard input."""
    with start(**more) as server:
        assert server.stdin is not None
        assert server.stderr is not None
        server.stdin.write(initialize())
        server.stdin.flush()
        while complaint not in server.stderr.readline():
            pass
        yield server.stdin, server


def leaves_without_waiting(server: "subprocess.Popen[bytes]") -> bool:
    out, complaints = server.communicate(SHUTDOWN + EXIT, TIMEOUT_S)
    assert server.returncode == 0
    assert {"jsonrpc": "2.0", "id": 9, "result": None} in answers(io.BytesIO(out))
    return b"leaves without it" in complaints


def test_a_load_that_does_not_end_holds_up_neither_shutdown_nor_exit(tmp_path):
    with started(b"it begins", MIDTOKEN_MODEL=str(tmp_path / "endless")) as (_, server):
        assert leaves_without_waiting(server)


def test_a_model_call_that_does_not_end_does_not_hold_the_process_up():
    with started(b"the model is loaded") as (stdin, server):
        stdin.write(completion("!stuck"))
        stdin.flush()
        time.sleep(0.3)
        assert leaves_without_waiting(server)


def test_a_client_that_reads_nothing_is_neither_waited_for_nor_piled_up_for(tmp_path):
    """It sends much more than is kept, then closes the input. The server ends soon and has not grown."""
    log = (tmp_path / "log").open("wb")
    pipe = subprocess.PIPE
    with log, subprocess.Popen(FAKE_SERVER, stdin=pipe, stdout=pipe, stderr=log, env=environment(), cwd=ROOT) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(initialize() + completion("x"))
        server.stdin.flush()
        server.stdout.read(1)  # it is up; from here on its output is not read
        os.set_blocking(server.stdin.fileno(), False)
        text = {"textDocument": {"uri": URI, "version": 3}, "contentChanges": [{"text": "y" * 1000}]}
        question = framed(id=5, method="workspace/executeCommand", params={"command": "midtoken.server.statistics"})
        burst = (framed(method="textDocument/didChange", params=text) + question) * 100
        sent = _sent_within(server.stdin.fileno(), burst, 3.0)
        assert sent > 1 << 20
        if sys.platform == "linux":
            status = Path(f"/proc/{server.pid}/status").read_text()
            assert int(status.split("VmHWM:")[1].split()[0]) < 400_000
        server.stdin.close()
        began = time.monotonic()
        assert server.wait(TIMEOUT_S) == 1
        assert time.monotonic() - began < 20


def _sent_within(descriptor: int, data: bytes, seconds: float) -> int:
    """How many bytes of ``data``, repeated, a non-blocking pipe takes before it takes none for a second."""
    sent, rest, last = 0, b"", time.monotonic()
    end = last + 4 * seconds
    while time.monotonic() - last < seconds and time.monotonic() < end:
        rest = rest or data
        try:
            count = os.write(descriptor, rest)
        except BlockingIOError:
            time.sleep(0.01)
            continue
        rest, sent, last = rest[count:], sent + count, time.monotonic()
    return sent
