"""How the server's process begins and ends: exit status, a client that dies, what is written on which stream."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pytest

from tests.e2e.clients import FAKE_SERVER, ROOT, TIMEOUT_S, URI, environment


def framed(**message: Any) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def initialize(process_id: int | None = None) -> bytes:
    params: dict[str, Any] = {"processId": process_id, "rootUri": None, "capabilities": {}}
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
    """A server whose three streams are ours."""
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
            # Its input is still open, so that nothing but the watchdog can end it.
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


def test_tcp_serves_one_client_on_a_loopback_address():
    server = subprocess.Popen([*FAKE_SERVER, "127.0.0.1", "0"], stderr=subprocess.PIPE, env=environment(), cwd=ROOT)
    with server:
        assert server.stderr is not None
        port = int(server.stderr.readline().split()[-1])
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as client:
            stream = client.makefile("rwb")
            with stream:
                stream.write(initialize() + completion("x"))
                stream.flush()
                assert stream.readline().startswith(b"Content-Length")
                with pytest.raises(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=1)
                stream.write(SHUTDOWN + EXIT)
                stream.flush()
                assert server.wait(TIMEOUT_S) == 0
                stream.readlines()


def test_a_tcp_client_that_leaves_ends_the_server():
    server = subprocess.Popen([*FAKE_SERVER, "localhost", "0"], stderr=subprocess.PIPE, env=environment(), cwd=ROOT)
    with server:
        assert server.stderr is not None
        port = int(server.stderr.readline().split()[-1])
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S).close()
        assert server.wait(TIMEOUT_S) == 1


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
    """A server that has been introduced to its client and has said ``complaint``, with its standard input."""
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
