from collections.abc import Iterator

import pytest

from onnx_export.train.precision import TURNS, bfloat16_pays, is_faster


def ticks(one: list[float], other: list[float]) -> Iterator[float]:
    """A clock by which the products take these times, in turn."""
    now = 0.0
    for pair in zip(one, other, strict=True):
        for duration in pair:
            yield now
            now += duration
            yield now


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0] * TURNS, [2.0] * TURNS, True),
        ([2.0] * TURNS, [1.0] * TURNS, False),
        ([1.0] * TURNS, [1.1] * TURNS, False),  # too little to round for
        ([9.0, 1.0, 9.0, 9.0], [3.0, 3.0, 3.0, 3.0], True),  # the best counts: others may disturb
    ],
)
def test_the_best_of_some_turns_decides(one: list[float], other: list[float], expected: bool) -> None:
    clock = ticks(one, other)
    called: list[str] = []
    assert is_faster(lambda: called.append("one"), lambda: called.append("other"), lambda: next(clock)) is expected
    assert called == ["one", "other"] * TURNS


def test_a_gpu_is_faster_and_a_processor_gives_one_answer() -> None:
    assert bfloat16_pays("cuda")
    assert bfloat16_pays("cpu") is bfloat16_pays("cpu")
