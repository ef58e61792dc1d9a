"""The steps of W&B that the rows of a copy get."""

import pytest

from ups.repair.order import StepNumbers


@pytest.mark.parametrize(
    ("steps", "numbered"),
    [
        ([0, 1, 5, 9], [0, 1, 5, 9]),
        ([0, 1, 0, 4], [0, 1, 2, 6]),  # a later session counts on, with its gaps
        ([0, None, 1, 2], [0, 1, 2, 3]),  # a row between two others moves those behind it
        ([7, 7, 7], [7, 8, 9]),
        ([2**62, 2**61, 2**62, None], [2**62, 2**62 + 1, 2**62 + 2, 2**62 + 3]),  # they stay within 64 bits
    ],
)
def test_steps_grow(steps: list[int | None], numbered: list[int]) -> None:
    """Each row has its own step where that is free, and else the next one."""
    numbers = StepNumbers()
    assert [numbers.next(step) for step in steps] == numbered
