import pytest

from engine.errors import TrainingError
from onnx_export.train.corpus.documents import is_held_out_package
from onnx_export.train.corpus.packages import EVALUATION_PACKAGES, PACKAGES, Package, choose


def test_what_is_evaluated_is_not_learned():
    assert not EVALUATION_PACKAGES & {name.split("/")[-1] for name in PACKAGES}
    for name in EVALUATION_PACKAGES:
        with pytest.raises(TrainingError, match="kept for evaluation"):
            choose([name])


def test_choosing():
    assert [package.name for package in choose(["Scikit_Learn", "flask", "zod"])] == ["flask", "scikit-learn", "zod"]
    assert choose([]) == ()
    with pytest.raises(TrainingError, match=r"nonesuch is not among the packages of the corpus: choose from django, "):
        choose(["nonesuch"])


def test_versions_are_fixed_where_a_registry_has_many():
    assert PACKAGES["flask"] == Package("flask", "3.1.3", "pip", "python")
    assert PACKAGES["@trpc/server"] == Package("@trpc/server", "11.25.2", "npm", "typescript")
    assert PACKAGES["redis"] == Package("redis", "", "debian", "c")
    assert all(package.version for package in PACKAGES.values() if package.source != "debian")


def test_each_language_has_a_whole_package_that_is_held_out():
    held_out = {package.language for package in PACKAGES.values() if is_held_out_package(package.name)}
    assert held_out == {package.language for package in PACKAGES.values()}
    assert sum(map(is_held_out_package, PACKAGES)) < len(PACKAGES) / 8
