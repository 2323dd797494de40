"""What the installed converter accepts."""

from pathlib import Path

import pytest

from engine import ExportError
from lsp_server.models.converting import InstalledConverter


def test_a_gguf_file_does_not_become_fp16(tmp_path: Path):
    with pytest.raises(ExportError, match=r"converts to keep, .*, not to fp16"):
        InstalledConverter().convert_gguf(
            tmp_path / "a.gguf", tmp_path / "out", "fp16", lambda done, what: None, lambda: False
        )
    assert list(tmp_path.iterdir()) == []
