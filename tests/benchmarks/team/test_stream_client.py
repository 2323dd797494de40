"""The client for thousands of users, against the service in this process."""

import asyncio
import socket
from typing import Any

from benchmarks.team.stream_client import StreamClient
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.team_service import TOKEN, eventually, serve

__all__ = ["serve"]


def body(prefix: str) -> dict[str, object]:
    return {"prefix": prefix, "stream": True}


def test_an_answer_and_the_connection_that_is_kept(serve):
    served = serve(FakeCompleter(("one",)))

    async def ask() -> Any:
        client = StreamClient(served.url, TOKEN)
        try:
            return [await client.complete(body("x = "), "a") for _ in range(3)], len(client._idle)
        finally:
            client.close()

    replies, kept = asyncio.run(ask())
    assert all(reply.is_answer and reply.answer["completions"][0]["text"] == "one" for reply in replies)
    assert kept == 1


def test_an_error_is_its_code(serve):
    served = serve()

    async def ask(token: str, prefix: str) -> tuple[int, str]:
        client = StreamClient(served.url, token)
        reply = await client.complete(body(prefix), "a")
        client.close()
        return reply.status, reply.code

    assert asyncio.run(ask("", "x")) == (401, "unauthorised")
    status, code = asyncio.run(ask(TOKEN, "!error"))
    assert (status, code) in {(200, "bad-request"), (200, "model")}


def test_a_cancelled_request_stops_in_the_service(serve):
    engine = FakeCompleter()
    served = serve(engine)

    async def ask() -> Any:
        client = StreamClient(served.url, TOKEN)
        task = asyncio.create_task(client.complete(body("!slow"), "a"))
        await asyncio.to_thread(engine.started.wait, 20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return client._idle

    assert asyncio.run(ask()) == []
    eventually(lambda: engine.cancelled == 1)


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    reply = asyncio.run(StreamClient(f"http://127.0.0.1:{port}").complete(body("x"), "a"))
    assert (reply.status, reply.is_answer) == (0, False)
