"""Settings and fixtures that all tests share."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Deadlines judge the machine, not the code: it may be busy with other work while the tests run.
settings.register_profile("midtoken", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
# For what must hold of ten thousand cases: ``make test-thorough``.
settings.register_profile("thorough", settings.get_profile("midtoken"), max_examples=10_000)
settings.load_profile("midtoken")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in a background job of a shell, and the processes that tests start and interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from or written to the cache folder of whoever runs the tests, nor by their processes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            patch.setenv(name, str(tmp_path_factory.mktemp("cache")))
        yield
