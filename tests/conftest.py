"""Settings and fixtures that all tests share."""

from hypothesis import HealthCheck, settings

# Deadlines judge the machine, not the code: it may be busy with other work while the tests run.
settings.register_profile("midtoken", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("midtoken")
