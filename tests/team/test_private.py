"""Nothing leaves the machine, and nothing is left behind: what the system sees of the service and of Ray.

Needs `strace`, and the right to trace a process of one's own.
"""

import re
import signal
import tempfile
from pathlib import Path

import httpx
import psutil
import pytest

from tests.team.service import HEADERS, START_S, ask, serving, write_config
from tests.tracing import CALLS, CREATES, OURS, why_not

MARK = "text_of_a_document"
ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
LOOPBACK = re.compile(r"127\.|::1$|::ffff:127\.")
PLACES = ("/dev/", "/proc/")


@pytest.fixture
def short_path():
    """A folder with a short name: Ray puts sockets below it."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t-") as folder:
        yield Path(folder)


def test_the_service_keeps_to_itself(tmp_path, short_path):
    if reason := why_not():
        pytest.skip(reason)
    for name in ("trace", "home"):
        (tmp_path / name).mkdir()
    write_config(tmp_path, "{name: small, cpus: 0.2, threads: 1, context_tokens: 512}")
    environment = {"HOME": str(tmp_path / "home"), "TMPDIR": str(short_path), "PYTHONDONTWRITEBYTECODE": "1"}
    tracer = ("strace", "-ff", "-qq", "-s", "200", "-e", CALLS, "-o", str(tmp_path / "trace" / "of"))
    with serving(tmp_path, before=tracer, environment=environment) as service:
        assert ask(service.url, f"{MARK} = 1\nimport nump").status_code == 200
        assert ask(service.url, f"{MARK} = 1\n" * 20_000).status_code == 200
        wrong = {"prefix": MARK, "temperature": -1}
        assert httpx.post(f"{service.url}/v1/complete", json=wrong, headers=HEADERS, timeout=60).status_code == 400
        (traced,) = psutil.Process(service.process.pid).children()
        family = [traced, *traced.children(recursive=True)]
        assert {one for each in family for one in _listening(each)} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
        written = [path for path in short_path.rglob("*") if path.is_file()]
        assert any("serve" in str(path) for path in written)
        assert [path for path in written if MARK.encode() in path.read_bytes()] == []
        assert all(folder.stat().st_mode & 0o077 == 0 for folder in short_path.iterdir())
        traced.send_signal(signal.SIGTERM)
        assert service.process.wait(START_S) == 0
    lines = [
        line for file in (tmp_path / "trace").iterdir() for line in file.read_text("utf-8", "replace").splitlines()
    ]
    assert any("connect" in line for line in lines), "the trace holds nothing"
    assert [line for line in lines if _is_outward(line)] == []
    created = [line for line in lines if CREATES.search(line) and " = -1 " not in line and not OURS.search(line)]
    allowed = tuple(f'"{place}' for place in (*PLACES, f"{short_path}/"))
    assert [line for line in created if not any(place in line for place in allowed)] == []
    assert [*(tmp_path / "home").iterdir(), *short_path.iterdir()] == []


def _listening(process: psutil.Process) -> list[str]:
    return [each.laddr.ip for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN]


def _is_outward(line: str) -> bool:
    """Whether it names an address of another machine, one that others can reach, or a server of names."""
    addresses = [one or other for one, other in ADDRESS.findall(line)]
    return "htons(53)" in line or any(not LOOPBACK.match(address) for address in addresses)
