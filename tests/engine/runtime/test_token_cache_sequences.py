"""The token cache under random sequences of operations, against a reference that computes everything from scratch."""

import contextlib
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.errors import Cancelled, DeviceError
from tests.engine.runtime.caches import MODEL, from_scratch, ids_of, make, nothing, tokens


class CacheMachine(RuleBasedStateMachine):
    """Random prefills, steps of one and of many sequences, cancellations and device errors, over one slot or several.

    Whatever happened before, the logits equal those computed from scratch, and a pass runs only the tokens it reports.
    """

    CAPACITY = 12

    @initialize(chunk=st.integers(1, 5), slots=st.integers(1, 4))
    def start(self, chunk: int, slots: int):
        self.cache, self.session = make(chunk=chunk, context_length=self.CAPACITY, slots=slots)
        self.held: list[int] = []

    def changed(self, kept: int, added: list[int]) -> list[int]:
        return (self.held[:kept] + added)[: self.CAPACITY] or [0]

    @rule(data=st.data(), kept=st.integers(0, CAPACITY), added=st.lists(tokens, max_size=CAPACITY), aside=st.booleans())
    def prefill(self, data: st.DataObject, kept: int, added: list[int], aside: bool):
        self.held = self.changed(kept, added)
        rows = sorted(data.draw(st.sets(st.integers(0, len(self.held) - 1), min_size=1, max_size=4)))
        before = self.session.tokens
        logits, reused = self.cache.prefill(ids_of(*self.held), rows, nothing, aside=aside)
        assert 0 <= reused <= len(self.held)
        assert self.session.tokens - before <= len(self.held) - reused
        np.testing.assert_array_equal(logits, np.stack(from_scratch(self.held, rows)))

    @precondition(lambda self: len(self.held) < self.CAPACITY)
    @rule(token=tokens)
    def row_after_one_more(self, token: int):
        self.held = [*self.held, token]
        np.testing.assert_array_equal(self.cache.row_after(ids_of(*self.held), nothing), MODEL(tuple(self.held)))

    @rule(kept=st.integers(0, CAPACITY), added=st.lists(tokens, max_size=3), draft=st.lists(tokens, max_size=4))
    def row_ahead(self, kept: int, added: list[int], draft: list[int]):
        self.held = self.changed(kept, added)
        draft = draft[: self.CAPACITY - len(self.held)]
        before = self.session.tokens
        row, run = self.cache.row_ahead(ids_of(*self.held), ids_of(*draft), nothing)
        assert self.session.tokens - before == run
        np.testing.assert_array_equal(row, MODEL(tuple(self.held)))

    @rule(kept=st.integers(0, CAPACITY), draft=st.lists(tokens, min_size=1, max_size=4), wrong=st.integers(0, 4))
    def cancelled_or_failing_draft(self, kept: int, draft: list[int], wrong: int):
        self.held = self.changed(kept, [])
        draft = draft[: self.CAPACITY - len(self.held)]
        self.session.fail_at = self.session.calls + 1 if wrong else None
        with contextlib.suppress(Cancelled, DeviceError):
            self.cache.row_ahead(ids_of(*self.held), ids_of(*draft), nothing if wrong else self.allowing(0))
        self.session.fail_at = None

    @rule(
        branches=st.lists(st.tuples(st.integers(0, CAPACITY), st.lists(tokens, max_size=4)), min_size=1, max_size=6),
        next_one=st.integers(0, 5),
        aside=st.booleans(),
    )
    def rows_after_branches(self, branches: list[tuple[int, list[int]]], next_one: int, aside: bool):
        sequences = [self.changed(kept, added) for kept, added in branches]
        rows = self.cache.rows_after([ids_of(*ids) for ids in sequences], nothing, aside=aside)
        for row, ids in zip(rows, sequences, strict=True):
            np.testing.assert_array_equal(row, MODEL(tuple(ids)))
        self.held = sequences[next_one % len(sequences)]

    @rule(kept=st.integers(0, CAPACITY), added=st.lists(tokens, max_size=CAPACITY), allowed=st.integers(0, 3))
    def cancelled_prefill(self, kept: int, added: list[int], allowed: int):
        self.held = self.changed(kept, added)
        with contextlib.suppress(Cancelled):
            self.cache.prefill(ids_of(*self.held), [len(self.held) - 1], self.allowing(allowed))

    @rule(added=st.lists(st.lists(tokens, min_size=1, max_size=3), min_size=1, max_size=5), allowed=st.integers(0, 3))
    def cancelled_branches(self, added: list[list[int]], allowed: int):
        sequences = [ids_of(*self.changed(self.CAPACITY - 3, more)) for more in added]
        with contextlib.suppress(Cancelled):
            self.cache.rows_after(sequences, self.allowing(allowed))

    def allowing(self, passes: int) -> Callable[[], None]:
        calls = self.session.calls

        def checkpoint():
            assert self.session.calls <= calls + passes
            if self.session.calls == calls + passes:
                raise Cancelled

        return checkpoint

    @rule(added=st.lists(st.lists(tokens, min_size=1, max_size=3), min_size=1, max_size=5), call=st.integers(1, 3))
    def failing_branches(self, added: list[list[int]], call: int):
        sequences = [ids_of(*self.changed(self.CAPACITY - 3, more)) for more in added]
        self.session.fail_at = self.session.calls + call
        with contextlib.suppress(DeviceError):
            self.cache.rows_after(sequences, nothing)
        self.session.fail_at = None

    @rule(kept=st.integers(0, CAPACITY), added=st.lists(tokens, min_size=1, max_size=3), call=st.integers(1, 3))
    def failing_prefill(self, kept: int, added: list[int], call: int):
        self.held = self.changed(kept, added)
        self.session.fail_at = self.session.calls + call
        with contextlib.suppress(DeviceError):
            self.cache.prefill(ids_of(*self.held), [len(self.held) - 1], nothing)
        self.session.fail_at = None


def test_any_sequence_of_operations_equals_computing_from_scratch():
    run_state_machine_as_test(CacheMachine)
