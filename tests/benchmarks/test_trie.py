"""The prefix benchmark on a small vocabulary: all implementations agree, and the report is complete."""

from benchmarks import trie
from benchmarks.tables import BenchOptions, as_text


def test_every_implementation_is_measured_on_every_prefix(monkeypatch, tmp_path):
    monkeypatch.setattr(trie, "SIZE", 600)
    report = trie.run(BenchOptions(tokenizers=tmp_path, repetitions=1))
    _, queries = report.tables
    assert report.conditions["entries"] == 600
    assert len(queries.rows) == 7
    assert all(len(row) == len(queries.columns) for row in queries.rows)
    assert "sorted us" in queries.columns
    assert "getting ready" in as_text(report)


def test_a_made_up_vocabulary_is_the_same_for_the_same_seed():
    first, second = trie.made_up_vocabulary(500), trie.made_up_vocabulary(500)
    assert first.token_bytes == second.token_bytes
    assert len(set(first.token_bytes)) == first.size == 500
