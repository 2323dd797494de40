"""The service over a real socket, with a completer without a model and with a real one."""

import json
import socket
import threading
from urllib.parse import urlsplit

import pytest

from engine import BatchingCompleter, CompletionRequest, DeviceError
from lsp_server.team.events import Event, EventReader
from tests.fakes import endless_completer
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.team_service import HEADERS, TOKEN, Served, eventually


def events_of(served: Served, body: object, path: str = "/v1/complete") -> list[Event]:
    with served.client.stream("POST", served.url + path, json=body, headers=HEADERS) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        reader = EventReader()
        return [event for part in response.iter_bytes() for event in reader.feed(part)]


def _head(*lines: str) -> bytes:
    """The head of a request with the token and the given lines."""
    return "\r\n".join(
        ("POST /v1/complete HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKEN}", *lines, "", "")
    ).encode()


def raw(served: Served, data: bytes) -> bytes:
    """The response to bytes that no client would send."""
    where = urlsplit(served.url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


class TestComplete:
    def test_one_answer(self, serve):
        served = serve()
        answer = served.post("/v1/complete", {"prefix": "a", "n": 2}).json()
        assert [completion["text"] for completion in answer["completions"]] == ["one", "two"]
        read = {"prompt_tokens": 7, "reused_tokens": 3, "is_partial": False}
        assert answer["usage"] == read | {
            "in_line_ms": 0.0,
            "passes": 0,
            "rows": 0,
            "parked": 0,
            "restored_tokens": 0,
        }
        assert answer["model"]["path"] == "bundled"
        assert served.metric("midtoken_requests_total", model="bundled", outcome="answered") == 1
        assert served.metric("midtoken_reused_tokens_total", model="bundled") == 3

    def test_the_engine_gets_what_was_asked(self, serve):
        engine = FakeCompleter()
        served = serve(engine)
        body = {"prefix": "a", "suffix": "b", "language": "python", "path": "x/y.py", "max_new_tokens": 9}
        served.post("/v1/complete", {**body, "single_line": False})
        (request,) = engine.requests
        assert (request.prefix, request.suffix, request.language, request.path) == ("a", "b", "python", "x/y.py")
        assert (request.stop.max_new_tokens, request.stop.lines) == (9, "multi")

    def test_a_stream_is_what_the_engine_says(self, serve):
        engine, _ = endless_completer()
        said = engine.complete(CompletionRequest("x = va", budget_ms=None))
        events = events_of(serve(engine), {"prefix": "x = va", "stream": True})
        assert events[0].name == "begun"
        assert events[-1].name == "answer"
        written = "".join(event.data["written"] for event in events if event.name == "text")
        (text,) = (completion["text"] for completion in events[-1].data["completions"])
        assert text == said.completions[0].text
        assert written.startswith(text) or text.startswith(written)

    def test_who_leaves_stops_the_engine(self, serve):
        engine = FakeCompleter()
        served = serve(engine)
        body = {"prefix": "!slow", "stream": True}
        with served.client.stream("POST", served.url + "/v1/complete", json=body, headers=HEADERS):
            assert engine.started.wait(10)
        eventually(lambda: engine.cancelled == 1)
        eventually(lambda: served.replicas["bundled"].ongoing == 0)
        eventually(lambda: served.metric("midtoken_requests_total", model="bundled", outcome="left") == 1)

    def test_who_leaves_a_plain_request_stops_it_too(self, serve):
        engine = FakeCompleter()
        served = serve(engine)
        body = b'{"prefix": "!slow"}'
        where = urlsplit(served.url)
        with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
            connection.sendall(_head(f"Content-Length: {len(body)}") + body)
            assert engine.started.wait(10)
        eventually(lambda: engine.cancelled == 1)

    @pytest.mark.parametrize(("line", "status", "code"), [("!error", 400, "bad-request"), ("!crash", 500, "internal")])
    def test_what_fails_is_said_without_the_text(self, serve, line, status, code, caplog):
        served = serve()
        response = served.post("/v1/complete", {"prefix": f"secret = 1 # {line}"})
        assert response.status_code == status
        assert response.json()["error"]["code"] == code
        assert "secret" not in response.text + caplog.text
        assert served.post("/v1/complete", {"prefix": "a"}).status_code == 200

    def test_a_failure_within_a_stream_is_an_event(self, serve):
        *_, last = events_of(serve(), {"prefix": "!crash", "stream": True})
        assert (last.name, last.data["code"]) == ("error", "internal")

    @pytest.mark.parametrize("error", [DeviceError("the device is out of memory; ask for fewer tokens"), MemoryError()])
    def test_a_device_that_fails_is_told_from_a_wrong_request(self, serve, error):
        class Broken(FakeCompleter):
            def complete(self, request, cancel=None, on_text=None):
                raise error

        response = serve(Broken()).post("/v1/complete", {"prefix": "a"})
        assert (response.status_code, response.json()["error"]["code"]) == (503, "model")
        assert response.headers["retry-after"] == "1"

    def test_a_full_replica_says_when_to_come_again(self, serve):
        engine = FakeCompleter()
        served = serve(engine, models=[{"name": "bundled", "concurrent": 1, "waiting": 0}])
        body = {"prefix": "!slow", "stream": True}
        with served.client.stream("POST", served.url + "/v1/complete", json=body, headers=HEADERS):
            assert engine.started.wait(10)
            response = served.post("/v1/complete", {"prefix": "a"})
        assert (response.status_code, response.json()["error"]["code"]) == (503, "full")
        assert response.headers["retry-after"] == "1"

    def test_many_at_once_each_get_their_own(self, serve):
        engine, _ = endless_completer()
        prefixes = [f"name{number} = va" for number in range(12)]
        alone = [engine.complete(CompletionRequest(prefix)).completions[0].text for prefix in prefixes]
        served = serve(engine)
        found = [""] * len(prefixes)

        def ask(number):
            answer = served.post("/v1/complete", {"prefix": prefixes[number]}).json()
            found[number] = answer["completions"][0]["text"]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(prefixes))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == alone


class TestLegacy:
    def test_one_answer(self, serve):
        engine = FakeCompleter()
        body = {"model": "gpt-something", "prompt": "a", "suffix": "b", "max_tokens": 5, "logprobs": None, "best_of": 1}
        answer = serve(engine).post("/v1/completions", {**body, "stop": ["\n", "END"]}).json()
        assert answer["object"] == "text_completion"
        assert answer["model"] == "bundled"
        assert answer["choices"] == [{"index": 0, "text": "one", "logprobs": None, "finish_reason": "stop"}]
        assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
        (request,) = engine.requests
        assert (request.prefix, request.suffix, request.stop.lines) == ("a", "b", "single")
        assert request.stop.stop_strings == ("END",)

    @pytest.mark.parametrize("stop", [None, "\n"])
    def test_a_stream_joins_to_the_answer(self, serve, stop):
        engine, _ = endless_completer()
        served = serve(engine)
        body = {"prompt": "x = va", "suffix": " + 1", "max_tokens": 24, "stop": stop}
        whole = served.post("/v1/completions", body).json()["choices"][0]
        response = served.post("/v1/completions", {**body, "stream": True})
        lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
        assert lines.pop() == "[DONE]"
        chunks = [json.loads(line)["choices"][0] for line in lines if line]
        assert "".join(chunk["text"] for chunk in chunks) == whole["text"]
        assert chunks[-1]["finish_reason"] == whole["finish_reason"]

    @pytest.mark.parametrize("prompt", [None, [1, 2], ["a", "b"], 3])
    def test_other_prompts_are_refused(self, serve, prompt):
        response = serve().post("/v1/completions", {"prompt": prompt})
        assert (response.status_code, response.json()["error"]["code"]) == (400, "bad-request")


class TestOthers:
    def test_models(self, serve):
        served = serve(models=[{"name": "bundled"}, {"name": "seven"}])
        data = served.get("/v1/models").json()["data"]
        assert [(model["id"], model["ready"], model["device"]) for model in data] == [
            ("bundled", True, "cpu"),
            ("seven", True, "cpu"),
        ]

    def test_health_needs_no_token_and_says_no_names(self, serve):
        served = serve()
        response = served.client.get(served.url + "/healthz")
        assert response.json() == {"status": "ok", "version": 1, "models": 1, "ready": 1}
        served.replicas.clear()
        response = served.client.get(served.url + "/healthz")
        assert (response.status_code, response.json()["status"]) == (503, "degraded")
        assert served.post("/v1/complete", {"prefix": "a"}).json()["error"]["code"] == "model"

    def test_metrics(self, serve):
        served = serve()
        served.post("/v1/complete", {"prefix": "a"})
        text = served.get("/metrics").text
        assert 'midtoken_requests_total{model="bundled",outcome="answered"} 1.0' in text
        assert "midtoken_phase_seconds_bucket" in text

    def test_acceptances_are_counts(self, serve):
        served = serve()
        assert served.post("/v1/accepted", {"shown": 5, "accepted": 2}).json() == {}
        assert served.metric("midtoken_accepted_total", model="bundled") == 2
        assert served.post("/v1/accepted", {"text": "x"}).status_code == 400
        assert served.post("/v1/accepted", {"accepted": -1}).status_code == 400


class TestRefused:
    @pytest.mark.parametrize("path", ["/v1/complete", "/v1/completions", "/v1/accepted", "/v1/models", "/metrics"])
    @pytest.mark.parametrize("header", [None, "Bearer wrong-token-of-the-tests", "Bearer", f"Basic {TOKEN}"])
    def test_without_a_good_token(self, serve, path, header):
        served = serve()
        method = "GET" if path in ("/v1/models", "/metrics") else "POST"
        headers = {} if header is None else {"Authorization": header}
        response = served.client.request(method, served.url + path, headers=headers, content=b"{")
        assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorised")
        assert response.headers["www-authenticate"] == "Bearer"
        assert served.metric("midtoken_refusals_total", code="unauthorised") == 1

    def test_a_token_of_another_team(self, serve, tmp_path):
        (tmp_path / "other").write_text(TOKEN)
        token = {"name": "other", "file": str(tmp_path / "other"), "models": ["small"]}
        served = serve(models=[{"name": "bundled"}, {"name": "small"}], tokens=[token])
        assert served.post("/v1/complete", {"prefix": "a", "model": "bundled"}).status_code == 403
        assert served.metric("midtoken_refusals_total", code="forbidden") == 1
        assert served.post("/v1/complete", {"prefix": "a"}).json()["model"]["path"] == "small"
        assert [model["id"] for model in served.get("/v1/models").json()["data"]] == ["small"]

    @pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "nothing", "bundled/../bundled", "\0"])
    def test_names_of_models_reach_no_file(self, serve, name):
        served = serve()
        response = served.post("/v1/complete", {"prefix": "a", "model": name})
        assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")
        assert served.metric("midtoken_refusals_total", code="forbidden") == 1

    @pytest.mark.parametrize("chunked", [False, True])
    def test_large_bodies(self, serve, chunked):
        served = serve(limits={"body_bytes": 2000})
        data = b'{"prefix": "' + b"x" * 3000 + b'"}'
        content = iter([data[:1000], data[1000:]]) if chunked else data
        response = served.client.post(served.url + "/v1/complete", content=content, headers=HEADERS)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too-large")
        assert served.metric("midtoken_refusals_total", code="too-large") == 1

    def test_a_body_that_does_not_come(self, serve):
        served = serve(limits={"body_s": 0.1})
        answer = raw(served, _head("Content-Length: 100") + b'{"pre')
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"timeout"' in answer
        assert served.metric("midtoken_refusals_total", code="timeout") == 1

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b"null", b'{"prefix": 1}'])
    def test_bodies_that_are_no_request(self, serve, body):
        served = serve()
        response = served.client.post(served.url + "/v1/complete", content=body, headers=HEADERS)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "bad-request")
        assert "\n" not in response.json()["error"]["message"]

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/v1/complete", {"prefix": "a", "max_new_tokens": 1_000_000}),
            ("/v1/completions", {"prompt": "a", "max_tokens": 1_000_000}),
        ],
    )
    def test_a_million_tokens(self, serve, path, body):
        served = serve()
        response = served.post(path, body)
        assert response.status_code == 400
        assert "it must be from 1 to 256" in response.json()["error"]["message"]
        assert served.metric("midtoken_refusals_total", code="bad-request") == 1

    @pytest.mark.parametrize("session", ["a b", "x" * 200, "a\xe4"])
    def test_sessions_that_are_none(self, serve, session):
        served = serve()
        headers = {**HEADERS, "x-session-id": session.encode("latin-1")}
        response = served.client.post(served.url + "/v1/complete", json={"prefix": "a"}, headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "bad-request")

    def test_headers_cannot_be_injected(self, serve):
        body = b'{"prefix": "a", "model": "x\\r\\nSet-Cookie: a=b"}'
        lines = ("x-session-id: a\rSet-Cookie: b", f"Content-Length: {len(body)}", "Connection: close")
        answer = raw(serve(), _head(*lines) + body)
        assert answer.startswith(b"HTTP/1.1 4")
        assert b"set-cookie" not in answer.lower()

    def test_too_many(self, serve, tmp_path):
        token = {"name": "a", "file": str(tmp_path / "token"), "requests_per_second": 0.001}
        served = serve(tokens=[token])
        assert served.post("/v1/complete", {"prefix": "a"}).status_code == 200
        response = served.post("/v1/complete", {"prefix": "a"})
        assert (response.status_code, response.json()["error"]["code"]) == (429, "too-many")
        assert int(response.headers["retry-after"]) >= 900

    @pytest.mark.parametrize(
        ("method", "path", "code"),
        [("GET", "/", "not-found"), ("GET", "/v1/complete", "method"), ("GET", "/docs", "not-found")],
    )
    def test_other_addresses(self, serve, method, path, code):
        served = serve()
        assert served.client.request(method, served.url + path).json()["error"]["code"] == code


def test_the_engine_of_a_replica_is_the_one_of_its_name():
    from lsp_server.team.config import read_config
    from lsp_server.team.replica import load_engine

    (model,) = read_config({"models": [{"name": "small", "threads": 1, "context_tokens": 512}]}).models
    engine = load_engine(model)
    assert isinstance(engine, BatchingCompleter)
    assert engine.info.context_length == 512
