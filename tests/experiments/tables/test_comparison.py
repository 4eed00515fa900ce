"""Intervals, tests, their correction and power; and which place a row takes."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.tables.comparison import MAX_SEEDS, compare_rows, holm, mean_interval, ranks, seeds_needed

EIGHTHS = st.integers(-800, 800).map(lambda number: number / 8)  # exact, so that a tie is one
CRITICAL = 4.302652729696142  # 97.5 % quantile of Student's t with two degrees of freedom
THREE = {1: 50.0, 2: 60.0, 3: 55.0}


@settings(deadline=None)  # the first example imports scipy
@given(st.tuples(EIGHTHS, EIGHTHS, EIGHTHS))
def test_three_seeds_by_hand(differences: tuple[float, float, float]) -> None:
    """With two degrees of freedom Student's distribution has a closed form: p = 1 - |t| / sqrt(t^2 + 2)."""
    row = {seed: THREE[seed] + change for seed, change in enumerate(differences, start=1)}
    none, found = compare_rows([THREE, row], baseline=0)
    assert none is None
    assert found is not None
    mean = sum(differences) / 3
    assert (found.seeds, found.difference) == (3, pytest.approx(mean))
    if len(set(differences)) == 1:
        assert (found.interval, found.p_value, found.holm, found.seeds_needed) == (None, None, None, None)
        return
    error = math.sqrt(sum((change - mean) ** 2 for change in differences) / 2 / 3)
    t = mean / error
    assert found.p_value == pytest.approx(1 - abs(t) / math.sqrt(t**2 + 2), abs=1e-9)
    assert found.interval == pytest.approx((mean - CRITICAL * error, mean + CRITICAL * error))
    assert (found.p_value < 0.05) == (found.interval[0] > 0 or found.interval[1] < 0), "the two say the same"


def test_the_interval_of_a_mean_by_hand() -> None:
    half = CRITICAL * math.sqrt(13 / 3)
    assert mean_interval([10.0, 12.0, 17.0]) == pytest.approx((13 - half, 13 + half)), "variance 13, three seeds"


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [2.5, 2.5, 2.5]], ids=len)
def test_two_seeds_or_equal_ones_have_no_interval(values: list[float]) -> None:
    assert mean_interval(values) is None


def test_only_seeds_that_both_rows_have_are_paired() -> None:
    row, baseline = {1: 9.0, 2: 10.5, 3: 11.0}, {1: 10.0, 2: 11.0, 3: 12.5}
    longer = compare_rows([{**baseline, 8: -1000.0}, {**row, 7: 1000.0}], 0)
    assert longer == compare_rows([baseline, row], 0)
    assert compare_rows([{1: 9.0}, {2: 9.0}], 0) == [None, None]


@pytest.mark.parametrize("row", [{1: 9.0}, {1: 9.0, 2: 61.0}, {seed: value + 0.1 for seed, value in THREE.items()}])
def test_a_difference_without_enough_seeds_or_without_spread_is_only_a_difference(row: dict[int, float]) -> None:
    """Also where the rounding of 50.1 and 60.1 looks like a spread."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, found = compare_rows([THREE, row], 0)
    assert found is not None
    assert found.difference == pytest.approx(np.mean([row[seed] - THREE[seed] for seed in row]))
    assert (found.interval, found.p_value, found.holm, found.seeds_needed) == (None, None, None, None)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06]), "0.04 times 1 is less than 0.03 times 2"
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1))
def test_holm_keeps_the_order_and_lies_between_the_value_and_bonferronis(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for value, one in zip(p_values, corrected, strict=True):
        assert value <= one <= min(1.0, len(p_values) * value) or one == pytest.approx(value)
        assert all(one <= other for more, other in zip(p_values, corrected, strict=True) if more > value)


def test_the_correction_is_over_the_rows_that_were_tested() -> None:
    rows = [THREE, *({seed: THREE[seed] + step * seed for seed in THREE} for step in (1.0, -2.0, 3.0)), {1: 7.0}]
    found = compare_rows(rows, 0)
    tested = [one for one in found if one is not None and one.p_value is not None]
    assert [one.holm for one in tested] == holm([one.p_value for one in tested])
    assert len(tested) == 3


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10), (-1.0, 10), (2.0, 5)])
def test_seeds_needed_are_those_of_published_power_tables(effect: float, seeds: int) -> None:
    """Cohen's d of pairs, two-sided 0.05, power 0.8, as G*Power gives them."""
    assert seeds_needed(effect) == seeds


def test_power_reaches_what_was_asked_for_in_simulation() -> None:
    draws = np.random.default_rng(0)
    rates = []
    for seeds in (9, 10):
        differences = draws.normal(1.0, 1.0, (20_000, seeds))
        rates.append(float(np.mean(stats.ttest_1samp(differences, 0.0, axis=1).pvalue < 0.05)))
    assert rates[0] < 0.8 < rates[1], "ten seeds for one standard deviation, and not nine"


@pytest.mark.parametrize(("effect", "seeds"), [(0.0, math.inf), (0.01, math.inf), (1e3, 3), (1e9, 3)])
def test_seeds_needed_at_the_ends(effect: float, seeds: float) -> None:
    assert seeds_needed(effect) == seeds, f"no more than {MAX_SEEDS} are looked for, and no less than 3 said"


def test_a_tie_shares_the_best_of_its_places() -> None:
    assert ranks([30.0, 10.0, 20.0, 10.0], "min") == [4, 1, 3, 1]
    assert ranks([30.0, 10.0, 20.0, 10.0], "max") == [1, 3, 2, 3]


@given(st.lists(EIGHTHS, unique=True))
def test_without_ties_every_place_is_taken_once_and_the_directions_mirror(means: list[float]) -> None:
    best_is_small = ranks(means, "min")
    assert sorted(best_is_small) == list(range(1, len(means) + 1))
    assert ranks(means, "max") == [len(means) + 1 - rank for rank in best_is_small]
