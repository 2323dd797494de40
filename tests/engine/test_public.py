"""The public names of the engine, and what importing it does."""

import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import engine
from engine import errors

ROOT = Path(__file__).parents[2]
EXCEPTIONS = sorted(name for name, value in vars(errors).items() if inspect.isclass(value))


def test_the_list_of_public_names_is_sorted_and_has_no_name_twice():
    # Constants, then classes, then functions, each by name: the order that the linter requires too.
    names = engine.__all__
    assert len(set(names)) == len(names)
    constants = [name for name in names if name.isupper()]
    assert names == sorted(constants) + sorted(name for name in names if name not in constants)


@pytest.mark.parametrize("name", engine.__all__)
def test_every_public_name_is_there_and_explained(name):
    value = getattr(engine, name)
    if inspect.isclass(value):
        assert value.__doc__
        # A dataclass without a docstring gets its signature.
        assert not value.__doc__.startswith(f"{name}(")
        for member, function in inspect.getmembers(value, inspect.isfunction):
            if not member.startswith("_"):
                assert function.__annotations__.keys() >= {"return"}, f"{name}.{member}"


def test_everything_imported_into_the_package_is_public():
    imported = {
        name for name, value in vars(engine).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert imported == set(engine.__all__)


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_every_exception_is_public_and_one_of_ours(name):
    exception = getattr(errors, name)
    assert issubclass(exception, engine.MidtokenError)
    assert name in engine.__all__
    assert inspect.getdoc(exception)


def test_errors_of_a_model_folder_can_be_caught_together():
    assert issubclass(engine.ManifestError, engine.ModelFolderError)
    assert issubclass(engine.ContractError, engine.ModelFolderError)
    assert not issubclass(engine.Cancelled, (engine.RequestError, engine.DeviceError, engine.ModelFolderError))


@pytest.mark.parametrize(
    ("literal", "choices"),
    [("HealingMode", "HEALING_MODES"), ("Strategy", "STRATEGIES"), ("DeviceChoice", "DEVICES")],
)
def test_the_choices_are_those_of_the_types(literal, choices):
    assert typing.get_args(getattr(engine, literal)) == getattr(engine, choices)


def imported_with(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stderr == ""
    return {name.partition(".")[0] for name in run.stdout.split()}


def test_the_engine_imports_neither_torch_nor_an_editor():
    loaded = imported_with("import engine")
    assert not loaded & {"torch", "transformers", "onnx", "highspy", "pygls", "lsprotocol", "lsp_server", "onnx_export"}
