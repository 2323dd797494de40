"""Runs programs under `strace` and reports what reaches out of the machine or leaves files behind."""

import os
import re
import shutil
import subprocess
import sys
from functools import cache

import pytest

from tests.e2e.clients import TIMEOUT_S, environment

CALLS = (
    "trace=socket,connect,bind,sendto,sendmsg,sendmmsg,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,mknod"
)
PATIENCE = {"MIDTOKEN_BUDGET_MS": "60000", "PYTHONDONTWRITEBYTECODE": "1"}
OUT_OF_THE_MACHINE = re.compile(r"AF_INET|AF_NETLINK|AF_PACKET|resolv\.conf|nsswitch\.conf|/etc/hosts|nscd")
CREATES = re.compile(r"O_CREAT|creat\(|mkdir|rename|mknod")
OURS = re.compile(r"prefix-index")
"""The one file that may stay: the index of a vocabulary, in the cache of the user."""


@cache
def why_not() -> str:
    """Why nothing can be traced here; empty if tracing works."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this process may not trace another"


@pytest.fixture
def traced(tmp_path):
    """Runs a program under the tracer, in folders of its own. Returns the lines of the trace and its output."""
    if reason := why_not():
        pytest.skip(reason)
    homes = {name: tmp_path / name for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "TMPDIR")}
    for folder in homes.values():
        folder.mkdir()
    (tmp_path / "a.py").write_text("import o")

    def run(*arguments: str, data: bytes = b"") -> tuple[list[str], subprocess.CompletedProcess[bytes]]:
        log = tmp_path / "trace"
        command = ["strace", "-f", "-qq", "-s", "200", "-e", CALLS, "-o", str(log), sys.executable, *arguments]
        env = environment(**PATIENCE, **{name: str(folder) for name, folder in homes.items()})
        env.pop("ORT_DISABLE_TELEMETRY", None)
        done = subprocess.run(command, input=data, capture_output=True, cwd=tmp_path, env=env, timeout=4 * TIMEOUT_S)
        left = [path for folder in homes.values() for path in folder.rglob("*") if path.is_file()]
        assert [path for path in left if not OURS.search(str(path))] == []
        return log.read_text("utf-8", "replace").splitlines(), done

    return run


def assert_private(lines: list[str], *folders: str) -> None:
    """Nothing was sent, and nothing was created outside these folders."""
    assert any("openat" in line for line in lines), "the trace holds nothing"
    assert [line for line in lines if OUT_OF_THE_MACHINE.search(line)] == []
    created = [line for line in lines if CREATES.search(line) and " = -1 " not in line]
    allowed = tuple(f'"{folder}/' for folder in ("/dev", *folders))
    assert [line for line in created if not OURS.search(line) and not any(part in line for part in allowed)] == []
