"""Settings and fixtures that all tests share."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Deadlines depend on the machine, which may be busy with other work while the tests run.
settings.register_profile("midtoken", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
# More cases for the same properties: ``make test-thorough``.
settings.register_profile("thorough", settings.get_profile("midtoken"), max_examples=10_000)
settings.load_profile("midtoken")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A background job of a shell ignores interrupts, and the processes that tests start and interrupt would inherit
    # that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from or written to the cache folder of the user who runs the tests, by the tests or their
    processes.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            patch.setenv(name, str(tmp_path_factory.mktemp("cache")))
        yield
