"""Servers that the end-to-end tests talk to: one with a fake model, one with the bundled model."""

import pytest
import pytest_asyncio

from tests.e2e.clients import FAKE_SERVER, PATIENT, REAL_SERVER, Model, serving


@pytest.fixture
def model(tmp_path):
    """What the model of `client` is asked."""
    return Model(tmp_path)


@pytest_asyncio.fixture
async def client(model):
    """A client of a server whose model is a fake, and which shows nothing to the user."""
    async with serving(FAKE_SERVER, env=model.env) as client:
        yield client


@pytest_asyncio.fixture
async def bundled():
    """A client of the real server with the bundled model, which has time."""
    async with serving(REAL_SERVER, settings=PATIENT) as client:
        yield client
