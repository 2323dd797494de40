"""The reduced output embedding: its content, how it is found, and what is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ExportError, ManifestError, RequestError
from engine.model_folder.manifest import VocabularySizes
from engine.model_folder.output_basis import OUTPUT_BASIS_FILE, load_output_basis
from onnx_export.output_basis import reduce_embedding, write_output_basis
from tests.fakes import make_manifest


def test_the_basis_spans_the_leading_directions():
    generator = np.random.default_rng(0)
    weights = generator.standard_normal((300, 12)) * np.geomspace(10, 0.1, 12)
    basis = reduce_embedding(weights, 5)
    assert basis.shape == (300, 5)
    assert basis.dtype == np.float32
    np.testing.assert_allclose(basis.T @ basis, np.eye(5), atol=1e-5)
    left = np.linalg.svd(weights, full_matrices=False)[0][:, :5]
    np.testing.assert_allclose(np.abs(np.sum(left * basis, axis=0)), np.ones(5), atol=1e-5)


def test_a_checkpoint_gives_a_basis_that_the_engine_loads(checkpoint: Path, tmp_path: Path):
    write_output_basis(checkpoint, tmp_path, 4)
    rows = len(np.load(tmp_path / OUTPUT_BASIS_FILE))
    manifest = dataclasses.replace(
        make_manifest(rows), vocabulary=VocabularySizes(rows - 1, rows, rows), files={OUTPUT_BASIS_FILE: ""}
    )
    assert load_output_basis(tmp_path, manifest).shape == (rows - 1, 4)


@pytest.mark.parametrize("columns", [-1, 10_000])
def test_columns_have_a_range(checkpoint: Path, tmp_path: Path, columns: int):
    with pytest.raises(ExportError, match=r"--output-basis is .* it must be at least 1 and at most"):
        write_output_basis(checkpoint, tmp_path, columns)


def test_a_folder_without_a_basis_says_so(tmp_path: Path):
    with pytest.raises(RequestError, match="which the model folder does not hold"):
        load_output_basis(tmp_path, make_manifest(10))


@pytest.mark.parametrize(
    "basis", [np.zeros((9, 2), np.float32), np.zeros((10, 2)), np.full((10, 2), np.nan, np.float32), np.zeros(10)]
)
def test_a_basis_that_is_not_one_is_refused(tmp_path: Path, basis: np.ndarray):
    np.save(tmp_path / OUTPUT_BASIS_FILE, basis)
    manifest = dataclasses.replace(make_manifest(10), files={OUTPUT_BASIS_FILE: ""})
    with pytest.raises(ManifestError, match="is no float32 matrix of at least 10 rows"):
        load_output_basis(tmp_path, manifest)
