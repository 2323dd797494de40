"""The client with the real service, and with stubs that behave as networks can."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from engine import CancellationToken, Cancelled, CompletionRequest
from lsp_server.remote.address import Remote
from lsp_server.scheduling import remote_model
from lsp_server.scheduling.remote_model import RemoteCompleter
from tests.fakes import endless_completer
from tests.lsp_server.fakes import FakeCompleter
from tests.lsp_server.team_service import TOKEN, Served, eventually

REQUEST = CompletionRequest("x = va", budget_ms=20_000.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def texts(completer: RemoteCompleter, request: CompletionRequest = REQUEST) -> list[str]:
    return [completion.text for completion in completer.complete(request).completions]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def local():
    return FakeCompleter(("local",))


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "mine"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return path


@pytest.fixture
def make(local, clock):
    """Makes completers that are closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def make(url, token_file=None, clock=clock):
            completer = RemoteCompleter(local, Remote(url, token_file), clock)
            stack.callback(completer.close)
            return completer

        yield make


@pytest.fixture
def connect(make, token_file):
    return lambda served: make(served.url, token_file)


def keep(over: threading.Event) -> None:
    """Print nothing."""
    over.wait(30)


@contextlib.contextmanager
def stub(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that calls ``handle`` with every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        behave(client)

        threading.Thread(target=run, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


class TestTheService:
    def test_it_answers_as_the_engine_would(self, serve, connect):
        engine, _ = endless_completer()
        alone = engine.complete(REQUEST)
        completer = connect(serve(engine))
        written: list[str] = []
        result = completer.complete(REQUEST, on_text=written.append)
        assert result.completions == alone.completions
        assert written == sorted(written, key=len)
        assert result.completions[0].text.startswith(written[-1]) or written[-1].startswith(result.completions[0].text)
        assert completer.problem is None
        assert (completer.info.name, completer.info.device) == ("bundled", "remote")

    def test_one_connection_serves_many_calls(self, serve, connect):
        served = serve()
        completer = connect(served)
        connection = completer._connection
        for _ in range(5):
            assert texts(completer) == ["one"]
            eventually(lambda: len(connection._idle) >= 1)  # the thread of the call keeps it
        # There may be a second connection, over which the client asked the service about itself.
        assert len(connection._idle) <= 2

    def test_a_cancelled_call_ends_at_once_and_stops_the_replica(self, serve, connect, local):
        engine = FakeCompleter()
        completer = connect(serve(engine))
        token = CancellationToken()

        def leave() -> None:
            engine.started.wait(10)
            token.cancel()

        threading.Thread(target=leave).start()
        with pytest.raises(Cancelled):
            completer.complete(CompletionRequest("!slow", budget_ms=60_000.0), token)
        eventually(lambda: engine.cancelled == 1)
        assert local.requests == []
        assert completer.problem is None

    def test_it_reads_ahead_here_only_while_the_local_model_answers(self, serve, connect, local, tmp_path):
        served = serve()
        completer = connect(served)
        texts(completer)
        completer.read(REQUEST, CancellationToken())
        assert local.read_requests == []
        (tmp_path / "mine").unlink()
        assert texts(completer) == ["local"]
        completer.read(REQUEST, CancellationToken())
        assert local.read_requests == [REQUEST]


class TestTheLocalModelAnswers:
    def test_where_nothing_listens_and_it_goes_back_by_itself(self, serve, make, local, clock, token_file):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        completer = make(f"http://127.0.0.1:{port}", token_file)
        assert texts(completer) == ["local"]
        assert completer.problem is not None
        assert completer.problem.startswith("the team's service cannot be reached (")
        assert completer.problem.endswith("; the local model answers")
        assert completer.info == local.info
        served: Served = serve()
        completer._connection._port = int(served.url.rpartition(":")[2])
        assert texts(completer) == ["local"], "it is left alone for a while"
        clock.now += remote_model.LEAST_PAUSE_S["unreachable"]
        assert texts(completer) == ["one"]
        assert completer.problem is None

    def test_pauses_double_up_to_a_minute(self, make, clock):
        completer = make("http://127.0.0.1:1")
        pauses = []
        for _ in range(9):
            texts(completer)
            pauses.append(completer._health.until_s - clock.now)
            clock.now = completer._health.until_s
        assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]

    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            (b"", "cannot be reached"),
            (b"SSH-2.0-OpenSSH\r\n", "cannot be reached"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", "hung up"),
            (b"HTTP/1.1 200 OK\r\n\r\n" + b"data: nonsense\n\n", "is this a service of Midtoken?"),
            (b'HTTP/1.1 200 OK\r\n\r\nevent: answer\ndata: {"completions": 3}\n\n', "completions must be a list"),
            (b"HTTP/1.1 200 OK\r\n\r\nevent: answer\ndata: []\n\n", "the answer must be an object"),
            (b'HTTP/1.1 200 OK\r\n\r\nevent: text\ndata: {"written": "a"}\n\n', "hung up"),
            (
                b'HTTP/1.1 200 OK\r\n\r\nevent: error\ndata: {"code": "internal", "message": "m"}\n\n',
                "cannot answer now",
            ),
            (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "status 302"),
            (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\n<p/>", "status 502"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ndata:", "hung up"),
        ],
    )
    def test_whatever_comes_back(self, make, answer, problem):
        def behave(client: socket.socket) -> None:
            client.settimeout(10)
            client.recv(65_536)
            client.sendall(answer)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65_536):  # otherwise the unread bytes would reset the connection
                pass

        with stub(behave) as url:
            completer = make(url)
            assert texts(completer) == ["local"]
        assert completer.problem is not None
        assert problem in completer.problem

    def test_where_nothing_comes_back_it_has_the_rest_of_the_time(self, make, local):
        silent = threading.Event()
        with stub(lambda client: keep(silent)) as url:
            completer = make(url, clock=time.monotonic)
            assert texts(completer, CompletionRequest("a", budget_ms=400.0)) == ["local"]
            silent.set()
        assert completer.problem == "the team's service takes too long; the local model answers"
        (request,) = local.requests
        assert request.budget_ms is not None
        assert 1.0 <= request.budget_ms <= 400.0 * (1 - remote_model.FIRST_SHARE)

    def test_a_call_that_hangs_in_the_network_is_cancelled_at_once(self, make):
        silent = threading.Event()
        token = CancellationToken()

        def behave(client: socket.socket) -> None:
            token.cancel()
            keep(silent)

        with stub(behave) as url:
            with pytest.raises(Cancelled):
                make(url).complete(CompletionRequest("a", budget_ms=60_000.0), token)
            silent.set()

    @pytest.mark.parametrize("content", ["another-token-of-nobody", None, "short"])
    def test_without_a_good_token(self, serve, connect, token_file, clock, content):
        served = serve()
        completer = connect(served)
        if content is None:
            token_file.unlink()
        else:
            token_file.write_text(content)
        assert texts(completer) == ["local"]
        assert completer.problem is not None
        assert "token" in completer.problem
        token_file.write_text(TOKEN)
        token_file.chmod(0o600)
        clock.now += remote_model.LEAST_PAUSE_S["unauthorised"]
        assert texts(completer) == ["one"]

    def test_a_token_that_others_can_read_is_not_sent(self, serve, connect, token_file):
        token_file.chmod(0o644)
        completer = connect(serve())
        assert texts(completer) == ["local"]
        assert "others can read" in (completer.problem or "")

    def test_a_token_that_is_revoked(self, serve, connect, tmp_path, clock):
        served = serve()
        completer = connect(served)
        assert texts(completer) == ["one"]
        (tmp_path / "token").unlink()
        served.tokens.clock = lambda: time.monotonic() + 10
        assert texts(completer) == ["local"]
        assert "refuses the token" in (completer.problem or "")

    def test_a_full_service_says_when_to_come_again(self, serve, connect, clock):
        engine = FakeCompleter()
        served = serve(engine, models=[{"name": "bundled", "concurrent": 1, "waiting": 0}])
        completer, token = connect(served), CancellationToken()
        other = connect(served)

        def occupy() -> None:
            with contextlib.suppress(Cancelled):
                other.complete(CompletionRequest("!slow", budget_ms=60_000.0), token)

        thread = threading.Thread(target=occupy)
        thread.start()
        assert engine.started.wait(10)
        assert texts(completer) == ["local"]
        assert "cannot answer now" in (completer.problem or "")
        token.cancel()
        thread.join()
        eventually(lambda: served.replicas["bundled"].ongoing == 0)
        clock.now += 1.0
        assert texts(completer) == ["one"]
