"""The training text: collected, cleaned, freed of duplicates, with the licence of each file; read and written."""

from onnx_export.train.corpus.build import read_corpus
from onnx_export.train.corpus.documents import Corpus, Document

__all__ = ["Corpus", "Document", "read_corpus"]
