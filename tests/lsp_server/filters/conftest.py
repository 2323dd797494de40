"""What the tests of all filters share."""

import math
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from lsp_server.filters import errors


@pytest.fixture(autouse=True, scope="session")
def _no_limit_on_parsing() -> Iterator[None]:
    """A busy machine judges as much as any other."""
    with patch.object(errors, "LIMIT_S", math.inf):
        yield
