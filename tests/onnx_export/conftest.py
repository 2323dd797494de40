"""Fixtures of the tests that export checkpoints. Where torch is not installed those tests are left out as a whole
(`make test-export` has it); what converts GGUF files needs none and is tested everywhere.
"""

import importlib.util

WITHOUT_TORCH = (
    "gguf",
    "graph_writer",
    "test_convert.py",
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
