import pytest

from lsp_server.effort import LOOK_EVERY_S, READING_MS, Machine, share_of


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_reading_ahead_takes_one_processor_by_default_and_all_with_high_effort(threads):
    normal, high = share_of("normal", False, threads), share_of("high", False, threads)
    # A pass takes `threads` processors, for its part of the time of pass and rest together.
    assert threads / (1 + normal.rest) == pytest.approx(1.0)
    assert high.rest == 0.0
    assert normal.reads_ahead
    assert high.reads_ahead
    assert normal.reading_ms == READING_MS < high.reading_ms


@pytest.mark.parametrize(
    ("tokens_per_s", "most"), [(0.0, None), (20.0, 768), (110.0, 768), (140.0, 1024), (1000.0, 7936)]
)
def test_the_context_of_a_slow_model_is_what_it_reads_in_some_seconds(tokens_per_s, most):
    assert share_of("normal", False, 2, tokens_per_s).context_tokens == most
    assert share_of("high", False, 2, tokens_per_s).context_tokens is None


@pytest.mark.parametrize(("effort", "is_scarce"), [("low", False), ("low", True), ("normal", True)])
def test_with_low_effort_or_on_a_machine_that_is_scarce_less_is_read_and_nothing_ahead(effort, is_scarce):
    share = share_of(effort, is_scarce, 2)
    assert not share.reads_ahead
    assert share.context_tokens is not None
    assert share.reading_ms < READING_MS


def test_high_effort_is_what_the_user_wants_whatever_the_machine_does():
    assert share_of("high", True, 2) == share_of("high", False, 2)


class Day:
    """A machine whose clock, battery and processors the test sets."""

    def __init__(self) -> None:
        self.now = self.others = self.total = 0.0
        self.on_battery = False
        self.looks = 0

    def machine(self) -> Machine:
        return Machine(lambda: self.now, lambda: self.on_battery, self.used)

    def used(self) -> tuple[float, float]:
        self.looks += 1
        return self.others, self.total

    def go_on(self, others: float) -> None:
        """Let ten seconds of two processors pass, of which other programs take a share."""
        self.now += LOOK_EVERY_S
        self.total += 2 * LOOK_EVERY_S
        self.others += 2 * LOOK_EVERY_S * others


def test_a_machine_is_busy_while_others_use_it():
    day = Day()
    day.others, day.total = 900.0, 1000.0  # earlier time does not count
    machine = day.machine()
    assert not machine.is_scarce
    day.go_on(others=0.9)
    assert machine.is_scarce
    day.go_on(others=0.5)
    assert not machine.is_scarce


def test_a_battery_counts_at_once_and_only_while_it_is_used():
    day = Day()
    day.on_battery = True
    machine = day.machine()
    assert machine.is_scarce
    day.on_battery = False
    assert machine.is_scarce  # not measured again yet
    day.go_on(others=0.0)
    assert not machine.is_scarce


def test_the_machine_is_looked_at_every_ten_seconds():
    day = Day()
    machine = day.machine()
    for _ in range(50):
        day.now += 1.0
        assert not machine.is_scarce
    assert day.looks == 5


def test_this_machine_can_be_looked_at():
    assert Machine().is_scarce in (True, False)
