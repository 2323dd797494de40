"""An export looks up nothing and sends nothing: the libraries that could fetch from a hub are told to stay off."""

from tests.e2e.clients import ROOT
from tests.tracing import assert_private, traced

__all__ = ["traced"]


def test_an_export_keeps_to_itself(checkpoint, traced, tmp_path):
    out = tmp_path / "out"
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from lsp_server.cli import main; "
        "import transformers, huggingface_hub, tokenizers; sys.exit(main(['export', *sys.argv[1:]]))"
    )
    lines, done = traced("-c", program, str(checkpoint), str(out))
    assert done.returncode == 0, done.stderr.decode()
    # Besides what is exported, and what is taken away again, a compiler's cache may lie in the temporary folder.
    assert_private(lines, str(tmp_path))
