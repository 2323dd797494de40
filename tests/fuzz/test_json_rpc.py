"""A sample of the fuzzer that ``make test-fuzz`` runs for minutes."""

from tests.fuzz.json_rpc import run


def test_a_sample_of_nearly_right_messages():
    found = run(4000, seed=7)
    assert found.is_good, str(found)
    assert found.requests > 500
