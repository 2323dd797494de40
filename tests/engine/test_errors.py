"""The one line that gives the reason."""

import pytest

from engine.errors import reason_of


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(2, "No such file or directory", "secret.py"), "No such file or directory"),
        (RuntimeError("\n  first  \nsecond"), "first"),
        (ValueError(), "ValueError"),
        (ValueError("   "), "ValueError"),
        (RuntimeError("x" * 500), "x" * 200),
        (OSError("no number"), "no number"),
    ],
)
def test_the_reason_is_one_line_of_bounded_length(error: Exception, reason: str):
    assert reason_of(error).strip() == reason
