"""A replica that cannot have the memory for keys and values, in a service whose processes may have little."""

import sys

import pytest

from tests.team.service import Editor, ask, metric, serving, write_config

resource = pytest.importorskip("resource", reason="a limit of memory needs POSIX")

BYTES = 5 << 30
"""Address space of each process: enough for Ray and the model, not for the keys and values of all seats."""
SEATS = 1024
LIMITED = (
    sys.executable,
    "-c",
    f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_AS, ({BYTES}, {BYTES})); "
    "os.execv(sys.argv[1], sys.argv[1:])",
)


def test_memory_that_cannot_be_had(tmp_path):
    # All seats together need 6.4 GB, more than any process may have.
    room = f"concurrent: {SEATS}, waiting: 0, memory_mb: 16384"
    write_config(tmp_path, f"{{name: small, cpus: 0.2, threads: 1, context_tokens: 1024, {room}}}")
    with serving(tmp_path, before=LIMITED) as service:
        first, second = ({"x-session-id": name} for name in ("first", "second"))
        assert ask(service.url, **first).status_code == 200
        for _ in range(2):  # the second document needs a second seat
            refused = ask(service.url, **second)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model")
            assert "no memory for a key/value cache" in refused.json()["error"]["message"]
            assert len(refused.json()["error"]["message"].splitlines()) == 1
            assert int(refused.headers["retry-after"]) >= 1
        assert metric(service.url, 'midtoken_refusals_total{code="model"}') == 2
        with Editor(service.url, service.token) as editor:
            assert editor.complete() == "local"
            assert "no memory for a key/value cache" in (editor.completer.problem or "")
        assert ask(service.url, **first).status_code == 200  # who has a seat keeps it
