"""Servers that the end-to-end tests talk to: one with a fake model, one with the bundled model."""

import pytest
import pytest_asyncio

from tests.e2e.clients import FAKE_SERVER, PATIENT, REAL_SERVER, Model, serving


@pytest.fixture
def model(tmp_path):
    """The calls of `client`'s model."""
    return Model(tmp_path)


@pytest_asyncio.fixture
async def client(model):
    """A client of a server with a fake model. Nothing may be shown to the user."""
    async with serving(FAKE_SERVER, env=model.env) as client:
        yield client


@pytest_asyncio.fixture
async def bundled():
    """A client of the real server with the bundled model and a long time limit."""
    async with serving(REAL_SERVER, settings=PATIENT) as client:
        yield client
