"""What keeps Ray to itself: the settings that `midtoken team` makes before Ray is imported. It imports nothing of Ray.

Without them Ray 2.60 asks the metadata services of clouds where it runs (and looks up a name for that), even if its
figures of use are off. It reports that they are off, listens on every address of the machine, and writes a token below
the home folder.
"""

import secrets
import shutil
import tempfile
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

ADDRESS = "RAY_ADDRESS"
"""Names a cluster that runs already. Its settings are those of whoever started it."""
EVERYWHERE: Mapping[str, str] = MappingProxyType(
    {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray also reports that it does not report: to nobody.
        "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",
    }
)
ON_THIS_MACHINE: Mapping[str, str] = MappingProxyType(
    {
        # The name speaks of other systems; it makes Ray's own processes listen on, and call, the loopback address.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Ray's own figures, which an agent would serve to anybody. Ours are at /metrics, behind a token.
        "RAY_enable_metrics_collection": "0",
        # Requests hold text of documents: they must not be written to a disk when memory is short.
        "RAY_automatic_object_spilling_enabled": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "lsp_server.team.application:prepare_proxy",
        # Between processes a request goes as one message, not as objects of Ray; and it stays on one thread.
        "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
        "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
        "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
        # If Ray's main process is lost, the others end soon, and the service too: whoever watches it starts it again.
        "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
        # Its lines are in the run's folder; ours are the ones that are printed.
        "RAY_SERVE_LOG_TO_STDERR": "0",
    }
)
_LONGEST_ROOT = 32
"""Ray puts sockets below the folder, and their paths may have 107 characters."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder of this run, for this user only: Ray's token, sockets and logs."""

    path: Path

    @classmethod
    def create(cls) -> "RunFolder":
        """A new one in the temporary folder, with a token for Ray's own processes. Raises OSError."""
        root = tempfile.gettempdir()
        path = Path(tempfile.mkdtemp(prefix="mt-", dir=root if len(root) <= _LONGEST_ROOT else "/tmp"))
        folder = cls(path)
        folder.token.touch(0o600, exist_ok=False)
        folder.token.write_text(secrets.token_hex(32), encoding="ascii")
        return folder

    @property
    def token(self) -> Path:
        """What Ray's processes show each other."""
        return self.path / "auth_token"

    @property
    def ray(self) -> Path:
        """Ray's own folder. Ray opens it for everybody, so it lies within one that is not."""
        return self.path / "r"

    def remove(self) -> None:
        """With everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def silence(environment: MutableMapping[str, str]) -> RunFolder | None:
    """Make the settings. The folder of the run, or None where the service joins a cluster that runs already."""
    environment.update(EVERYWHERE)
    if ADDRESS in environment:
        return None
    folder = RunFolder.create()
    environment.update(ON_THIS_MACHINE, RAY_AUTH_TOKEN_PATH=str(folder.token))
    environment.pop("RAY_AUTH_TOKEN", None)  # it would come before the file
    return folder
