"""The team's service as ``midtoken team`` starts it, on a real Ray: ``make test-team``."""

import importlib.util

# Ray is in the extra "team" only.
collect_ignore_glob = ["test_*.py"] if importlib.util.find_spec("ray") is None else []
