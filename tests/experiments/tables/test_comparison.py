"""Whether seeds differ, and which place a row takes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.tables.comparison import paired_p_value, ranks

EIGHTHS = st.integers(-800, 800).map(lambda number: number / 8)  # exact, so that a tie is one


@settings(deadline=None)  # the first example imports scipy
@given(EIGHTHS, EIGHTHS)
def test_the_p_value_of_two_seeds_by_hand(first: float, second: float) -> None:
    """With one degree of freedom Student's t is Cauchy's: p = 1 - 2 atan(|t|) / pi, t = |d1 + d2| / |d1 - d2|."""
    baseline = {1: 50.0, 2: 60.0}
    found = paired_p_value({1: 50.0 + first, 2: 60.0 + second}, baseline)
    if first == second:
        assert found is None
        return
    t = abs(first + second) / abs(first - second)
    assert found == pytest.approx(1 - 2 * math.atan(t) / math.pi, abs=1e-9)


def test_only_seeds_that_both_rows_have_are_paired() -> None:
    row, baseline = {1: 9.0, 2: 10.5, 3: 11.0}, {1: 10.0, 2: 11.0, 3: 12.5}
    assert paired_p_value({**row, 7: 1000.0}, {**baseline, 8: -1000.0}) == paired_p_value(row, baseline)


@pytest.mark.parametrize(
    ("row", "baseline"),
    [({}, {}), ({1: 9.0}, {1: 10.0}), ({1: 9.0, 2: 10.0}, {3: 10.0, 4: 11.0}), ({1: 9.0, 2: 10.0}, {1: 10.0, 2: 11.0})],
    ids=["nothing", "one seed", "no common seed", "equal differences"],
)
def test_without_two_seeds_and_a_spread_there_is_no_p_value(row: dict[int, float], baseline: dict[int, float]) -> None:
    assert paired_p_value(row, baseline) is None


def test_a_tie_shares_the_best_of_its_places() -> None:
    assert ranks([30.0, 10.0, 20.0, 10.0], "min") == [4, 1, 3, 1]
    assert ranks([30.0, 10.0, 20.0, 10.0], "max") == [1, 3, 2, 3]


@given(st.lists(EIGHTHS, unique=True))
def test_without_ties_every_place_is_taken_once_and_the_directions_mirror(means: list[float]) -> None:
    best_is_small = ranks(means, "min")
    assert sorted(best_is_small) == list(range(1, len(means) + 1))
    assert ranks(means, "max") == [len(means) + 1 - rank for rank in best_is_small]
