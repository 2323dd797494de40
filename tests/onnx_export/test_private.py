"""An export looks up nothing and sends nothing: the libraries that can download from a hub are told to stay offline."""

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
    # Besides the exported files and removed ones, a compiler's cache may stay in the temporary folder.
    assert_private(lines, str(tmp_path))
