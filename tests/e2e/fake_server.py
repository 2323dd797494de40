"""The real server with a completer that needs no model: ``python -m tests.e2e.fake_server [stdio | HOST PORT]``."""

import sys
from pathlib import Path

from engine import DeviceChoice, ModelFolderError
from lsp_server.server import serve
from tests.lsp_server.fakes import FakeCompleter


def load(model_dir: Path | None = None, *, device: DeviceChoice = "auto") -> FakeCompleter:
    """A fake; a model folder named "bad" cannot be loaded."""
    if model_dir is not None and model_dir.name == "bad":
        raise ModelFolderError("no model folder at bad; give one")
    return FakeCompleter()


def main() -> int:
    address = sys.argv[1:]
    return serve(tcp=(address[0], int(address[1])) if address else None, load=load)


if __name__ == "__main__":
    sys.exit(main())
