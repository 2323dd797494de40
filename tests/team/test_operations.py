"""What whoever runs the service does to it: each test has one of its own."""

import datetime
import ipaddress
import signal
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lsp_server.team.config import read_file
from lsp_server.team.events import Event
from lsp_server.team.silence import silence
from tests.team.service import (
    HEADERS,
    SMALL,
    START_S,
    TOKEN,
    Editor,
    Service,
    ask,
    eventually,
    free_port,
    serving,
    stream,
    write_config,
)


class Asker:
    """A user who asks without a pause, and notes every status."""

    def __init__(self, url: str, number: int) -> None:
        self._url, self._session = url, {"x-session-id": f"asker-{number}"}
        self._is_over = threading.Event()
        self.found: list[int] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> list[int]:
        self._is_over.set()
        self._thread.join(START_S)
        return self.found

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                self.found.append(ask(self._url, **self._session).status_code)
            except httpx.HTTPError:
                self.found.append(0)


def test_a_model_is_replaced_without_a_failed_request_and_the_end_waits_for_answers(tmp_path):
    write_config(tmp_path, SMALL)
    with serving(tmp_path) as service:
        askers = [Asker(service.url, number) for number in range(2)]
        eventually(lambda: all(asker.found for asker in askers))
        write_config(tmp_path, SMALL.replace("context_tokens: 1024", "context_tokens: 768"))
        service.process.send_signal(signal.SIGHUP)
        service.said("runs as the file says now")
        eventually(lambda: _context(service) == 768)
        # One that cannot be served is not taken over.
        write_config(tmp_path, f"{{name: small, model: {tmp_path}}}")
        service.process.send_signal(signal.SIGHUP)
        assert "holds no midtoken.json" in service.said("goes on as before")
        assert _context(service) == 768
        found = [status for asker in askers for status in asker.stop()]
        assert set(found) == {200}, found
        _end_waits_for_answers(service)


def _context(service: Service) -> int:
    data = httpx.get(f"{service.url}/v1/models", headers=HEADERS, timeout=60).json()["data"]
    context: int = data[0]["context"]
    return context


def _end_waits_for_answers(service: Service) -> None:
    """Streams that have begun come to their end after the process was told to end."""
    last: list[str] = []
    begun = threading.Barrier(5)

    def use() -> None:
        events: list[Event] = []

        def on_event(event: Event) -> None:
            if not events:
                begun.wait(START_S)
            events.append(event)

        stream(service.url, on_event)
        last.append(events[-1].name)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(START_S)
    service.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert last == ["answer"] * 4
    assert service.ended() == 0


def test_a_model_that_fails_to_load_is_told_in_one_line(tmp_path):
    write_config(tmp_path, f"{{name: seven, model: {tmp_path}}}")
    command = [sys.executable, "-m", "lsp_server", "team", "--config", str(tmp_path / "midtoken-team.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("midtoken: error: models: seven cannot be served: ")


@pytest.fixture
def certificate(tmp_path) -> Path:
    """Files `cert.pem` and `key.pem` for the loopback address, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "midtoken.test")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file: Path = tmp_path / "cert.pem"
    file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


def test_certificate_files(tmp_path, certificate, monkeypatch):
    write_config(tmp_path, SMALL, f"certificate: {certificate}\nkey: {tmp_path / 'key.pem'}")
    with serving(tmp_path, scheme="https") as service:
        trusting = ssl.create_default_context(cafile=str(certificate))
        answer = httpx.post(
            f"{service.url}/v1/complete", json={"prefix": "import nump"}, headers=HEADERS, verify=trusting, timeout=60
        )
        assert answer.json()["completions"][0]["text"].startswith("y")
        with pytest.raises(httpx.HTTPError):
            httpx.get(service.url.replace("https", "http") + "/healthz", timeout=60)
        with Editor(service.url, service.token) as wary:
            assert wary.complete() == "local"
            assert "certificate of the team's service is wrong" in (wary.completer.problem or "")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with Editor(service.url, service.token) as editor:
            editor.until("service")


def test_the_head_node_is_restarted(tmp_path):
    write_config(tmp_path, SMALL)
    port = free_port()
    with serving(tmp_path, port=port) as service, Editor(service.url, service.token) as editor:
        editor.until("service")
        (head,) = [one for one in psutil.Process(service.process.pid).children() if one.name() == "gcs_server"]
        head.send_signal(signal.SIGKILL)
        # Whatever still runs, the editor gets an answer each time; and the service ends, for whoever watches it.
        while service.process.poll() is None:
            assert editor.complete(budget_ms=1000.0)
        assert service.process.returncode != 0
        editor.until("local")
        assert editor.completer.problem
    with serving(tmp_path, port=port) as service, Editor(service.url, service.token) as editor:
        editor.until("service")


def test_serve_deploy_of_the_same_file_on_a_cluster_that_runs(tmp_path):
    write_config(tmp_path, SMALL)
    inside = (tmp_path / "midtoken-team.yaml").read_text().replace("\n", "\n      ")
    port, dashboard, other = free_port(), free_port(), free_port()
    file = tmp_path / "midtoken-team.yaml"
    file.write_text(
        f"http_options: {{host: 127.0.0.1, port: {port}}}\napplications:\n  - name: midtoken\n"
        f"    import_path: lsp_server.team.application:build\n    args:\n      {inside}\n"
    )
    assert read_file(file).models[0].name == "small"  # `midtoken team` reads it too
    environment: dict[str, str] = {}
    folder = silence(environment)
    assert folder is not None
    environment = {**psutil.Process().environ(), **environment, "HOME": str(tmp_path)}
    start = [
        "--head", "--block", f"--port={free_port()}", "--include-dashboard=true", f"--dashboard-port={dashboard}",
        f"--dashboard-agent-listen-port={other}", f"--temp-dir={folder.path}", "--num-cpus=2",
        "--object-store-memory=80000000", "--disable-usage-stats",
    ]  # fmt: skip
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", *start]
    address = f"http://127.0.0.1:{dashboard}"
    deploy = [sys.executable, "-m", "ray.serve.scripts", "deploy", str(file), "-a", address]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(ray, env=environment, stdout=nothing, stderr=nothing) as cluster:
        try:
            eventually(lambda: _deploys(deploy, environment))
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: _is_ready(url))
            assert ask(url).json()["completions"][0]["text"].startswith("y")
            assert ask(url, Authorization=f"Bearer not-{TOKEN}").status_code == 401
        finally:
            cluster.send_signal(signal.SIGTERM)
            cluster.wait(START_S)
            folder.remove()


def _deploys(command: list[str], environment: dict[str, str]) -> bool:
    return subprocess.run(command, env=environment, capture_output=True, timeout=START_S, check=False).returncode == 0


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=60).status_code == 200
    except httpx.HTTPError:
        return False
