"""Tests in real editors: a command of their own, ``python -m pytest tests/editors``.

They fetch editors and take minutes, so a plain ``python -m pytest`` leaves them out: they run when they are named. For
the same reason nothing is imported here that the other tests do not have.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.editors.neovim import Editor
    from tests.editors.programs import Program

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = (Path(config.invocation_params.dir, argument.split("::")[0]).resolve() for argument in config.args)
    return None if any(path.is_relative_to(HERE) for path in named) else True


@pytest.fixture(scope="session")
def neovim() -> Program:
    from tests.editors.programs import NEOVIM

    return NEOVIM.find()


@pytest.fixture(scope="module")
def shared(neovim: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """One editor with the two lines of configuration that are enough, for the tests of a module."""
    from tests.editors.neovim import configuration, editor

    with editor(neovim, tmp_path_factory.mktemp("neovim"), configuration()) as started:
        yield started
