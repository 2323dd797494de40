"""Fixtures of the tests that export checkpoints. Without torch these tests are left out (`make test-export` installs
it). The tests that convert GGUF files do not need torch and run everywhere.
"""

import importlib.util

WITHOUT_TORCH = (
    "gguf",
    "graph_writer",
    "test_convert.py",
    "test_convert_refused.py",
    "test_rounding.py",
    "opened_files.py",
    "test_vocabulary_cut.py",
    "test_entry_counts.py",
    "source_text.py",
)

if importlib.util.find_spec("torch") is None:
    from pathlib import Path

    collect_ignore = [
        path.name
        for path in Path(__file__).parent.iterdir()
        if path.name not in WITHOUT_TORCH and path.name not in ("__init__.py", "conftest.py")
    ]
else:
    from tests.onnx_export.checkpoints import checkpoint, corpus, sources, tokenizer

    __all__ = ["checkpoint", "corpus", "sources", "tokenizer"]
