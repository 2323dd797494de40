"""A folder with one layer of attention, for tests of what opens and runs graphs."""

import shutil
from pathlib import Path

import pytest

from engine.model_folder.manifest import Manifest
from tests.fakes import ATTENTION_GRAPH, ATTENTION_HEAD, make_manifest


@pytest.fixture
def manifest() -> Manifest:
    return make_manifest(ATTENTION_HEAD)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ATTENTION_GRAPH, tmp_path / "model.onnx")
    return tmp_path
