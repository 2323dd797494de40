from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.products import ROWS, products, report


def as_array(product: Any) -> np.ndarray:
    return product.float().numpy() if isinstance(product, torch.Tensor) else product[0]


def test_all_kinds_compute_the_same_product():
    found = {name: as_array(run()) for name, run in products(3, 64, 96).items()}
    exact = found.pop("torch, float32")
    assert len(found) == 4
    for name, product in found.items():
        error = np.linalg.norm(product - exact) / np.linalg.norm(exact)
        assert error < (1e-5 if name == "onnxruntime, float32" else 0.2), name


def test_every_kind_is_in_the_table():
    made = report(2, width=32, inner=64)
    assert len(made.tables[0].rows) == 5 * len(ROWS)
    assert all(isinstance(rate, float) and rate > 0 for _, rate in made.tables[0].rows)
    assert [r.value for r in made.ratios if r.name.startswith("64 rows, torch, float32")] == [pytest.approx(1.0)]
