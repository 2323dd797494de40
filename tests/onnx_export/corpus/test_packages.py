import subprocess
from pathlib import Path

import pytest

from engine.errors import TrainingError
from onnx_export.train.corpus.packages import EVALUATION_PACKAGES, PACKAGES, RunPip, choose, fetch


def pip(*wheels: str, code: int = 0, stderr: str = "") -> RunPip:
    """A pip that leaves these files."""

    def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
        folder = Path(arguments[arguments.index("--dest") + 1])
        for wheel in wheels:
            (folder / wheel).write_bytes(b"wheel")
        return subprocess.CompletedProcess(arguments, code, "", stderr)

    return run


def never(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    raise AssertionError(arguments)


def test_what_is_evaluated_is_not_learned():
    assert not EVALUATION_PACKAGES & PACKAGES.keys()
    for name in EVALUATION_PACKAGES:
        with pytest.raises(TrainingError, match="kept for evaluation"):
            choose([name])


def test_choosing():
    assert choose(["Scikit_Learn", "flask"]) == ("flask", "scikit-learn")
    assert choose([]) == ()
    with pytest.raises(TrainingError, match=r"nonesuch is not among the packages of the corpus: choose from django, "):
        choose(["nonesuch"])


def test_a_wheel_is_fetched_once(tmp_path: Path):
    name = f"torch-{PACKAGES['torch']}+cpu-cp311-cp311-linux_x86_64.whl"
    assert fetch("torch", tmp_path, pip(name)) == tmp_path / name
    assert fetch("torch", tmp_path, never) == tmp_path / name
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_another_version_is_not_taken(tmp_path: Path):
    (tmp_path / "flask-0.1-py3-none-any.whl").write_bytes(b"old")
    name = f"flask-{PACKAGES['flask']}-py3-none-any.whl"
    assert fetch("flask", tmp_path, pip(name)) == tmp_path / name


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("WARNING: x\nERROR: No matching distribution found for flask\n", "No matching distribution found for flask"),
        (
            "ERROR: Could not install: [Errno 28] No space left on device\n",
            "the disk is full; make room, then run again",
        ),
        ("", "pip gave no wheel"),
    ],
)
def test_what_cannot_be_fetched_is_one_clear_line(tmp_path: Path, stderr: str, reason: str):
    with pytest.raises(TrainingError) as caught:
        fetch("flask", tmp_path, pip(code=1, stderr=stderr))
    assert str(caught.value) == f"cannot fetch flask {PACKAGES['flask']} with pip: {reason}"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"cannot fetch flask .* into"):
        fetch("flask", tmp_path / "file", never)
