import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pkpo import cumulative_solve_rate
from tests.examples_of import examples

streams = arrays(np.int64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 2))


@settings(max_examples=examples(100))
@given(streams)
def test_it_is_the_share_of_problems_that_passed_at_least_once_so_far(c: Any) -> None:
    expected = [
        sum(c[: step + 1, problem].any() for problem in range(c.shape[1])) / c.shape[1] for step in range(len(c))
    ]
    assert cumulative_solve_rate(c).tolist() == expected
    assert cumulative_solve_rate(c > 0).tolist() == expected


@settings(max_examples=examples(100))
@given(streams, st.data())
def test_a_stream_that_is_taken_up_again_goes_on_as_if_it_had_not_stopped(c: Any, data: st.DataObject) -> None:
    stop = data.draw(st.integers(0, len(c)))
    solved = (c[:stop] > 0).any(axis=0)
    in_parts = [*cumulative_solve_rate(c[:stop]), *cumulative_solve_rate(c[stop:], solved)]
    assert in_parts == cumulative_solve_rate(c).tolist()


def test_a_problem_that_is_not_drawn_again_stays_solved() -> None:
    assert cumulative_solve_rate([[0, 3, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]).tolist() == [0.25, 0.5, 0.5]


def test_runs_stand_on_leading_axes() -> None:
    c = np.random.default_rng(0).integers(0, 2, (2, 3, 4, 5))
    rates = cumulative_solve_rate(c, np.zeros((2, 3, 5), dtype=bool))
    assert rates.shape == (2, 3, 4)
    np.testing.assert_array_equal(rates[1, 2], cumulative_solve_rate(c[1, 2]))


@pytest.mark.parametrize(
    ("c", "solved", "said"),
    [
        ([[1, -1]], None, r"c must be in \[0, 2147483647\]; got -1"),
        ([[0.5, 1]], None, "c must be integers; got float64"),
        ([[math.nan]], None, "c must be integers"),
        ([[None, 1]], None, "c must be integers; got object"),
        ([1, 0], None, r"c must have shape \(..., T, P\) with P at least 1; got shape \(2,\)"),
        (np.zeros((3, 0), dtype=int), None, r"got shape \(3, 0\)"),
        ([[1, 0]], [True], r"solved must be booleans of shape \(2,\); got bool of shape \(1,\)"),
        ([[1, 0]], [1, 0], r"solved must be booleans of shape \(2,\); got int64"),
    ],
)
def test_what_is_no_stream_of_counts_is_refused(c: Any, solved: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cumulative_solve_rate(c, solved)
