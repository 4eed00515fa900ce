"""What seeds tell of rows: intervals, tests against the baseline, the seeds that a test would need, and places."""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

CONFIDENCE = 0.95
ALPHA = 0.05
POWER = 0.8
# Two seeds leave one degree of freedom: an interval 13 times as wide as their distance, and a standard deviation that
# is known to a factor of 30.
MIN_SEEDS = 3
MAX_SEEDS = 1000  # nobody trains more

Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """A row against the baseline row over the seeds that both have: a seed draws the same order of the data under every
    encoding, which makes pairs of them.

    Attributes:
        seeds: how many both have; below :data:`MIN_SEEDS`, and where all differences are equal, the rest is None.
        difference: mean of the pairs' differences, row minus baseline.
        interval: its confidence interval.
        p_value: of the two-sided paired t-test.
        holm: the p-value after Holm's correction over the rows of the column.
        seeds_needed: :func:`seeds_needed` of the difference seen.
    """

    seeds: int
    difference: float
    interval: Interval | None = None
    p_value: float | None = None
    holm: float | None = None
    seeds_needed: float | None = None


def compare_rows(rows: Sequence[Mapping[int, float]], baseline: int) -> list[Comparison | None]:
    """Every row, its values by seed, against the one at index ``baseline``; None for that row itself and for rows that
    share no seed with it."""
    compared = [None if place == baseline else _compare(row, rows[baseline]) for place, row in enumerate(rows)]
    tested = [
        (place, found, found.p_value)
        for place, found in enumerate(compared)
        if found is not None and found.p_value is not None
    ]
    corrected = holm([p_value for _, _, p_value in tested])
    for (place, found, _), value in zip(tested, corrected, strict=True):
        compared[place] = replace(found, holm=value)
    return compared


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Student's confidence interval of the mean, mean ± t std / sqrt(n) with t the (1 + :data:`CONFIDENCE`) / 2
    quantile at n - 1 degrees of freedom.

    None below :data:`MIN_SEEDS` values, or where all are equal.
    """
    return tested[0] if (tested := _t_test(values)) else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Scand. J. Statist. 6, 1979): the k-th smallest of m p-values times m - k + 1, no
    less than those before it and at most 1. Rejecting what is below alpha keeps the chance of one false rejection or
    more at alpha, whatever the tests' dependence."""
    corrected, highest = [0.0] * len(p_values), 0.0
    for before, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - before) * p_values[place]))
        corrected[place] = highest
    return corrected


def seeds_needed(effect: float) -> float:
    """The smallest number of seeds, at least :data:`MIN_SEEDS`, at which the paired t-test (two-sided, level
    :data:`ALPHA`) rejects with probability :data:`POWER`, where the mean difference is ``effect`` standard deviations
    of the differences; infinity beyond :data:`MAX_SEEDS`.

    With n seeds the statistic has the noncentral t distribution with n - 1 degrees of freedom and noncentrality
    effect sqrt(n); the power is its mass beyond the test's critical values.
    """
    from scipy.stats import nct, t

    def power(seeds: int) -> float:
        critical, shift = t.ppf(1 - ALPHA / 2, seeds - 1), abs(effect) * math.sqrt(seeds)
        return float(nct.sf(critical, seeds - 1, shift) + nct.cdf(-critical, seeds - 1, shift))

    counts = range(MIN_SEEDS, MAX_SEEDS + 1)
    found = bisect.bisect_left(counts, POWER, key=power)
    return counts[found] if found < len(counts) else math.inf


def ranks(means: Sequence[float], direction: str) -> list[int]:
    """The place of each mean, 1 for the best; equal means share the best place that they take up together."""
    better = [-mean for mean in means] if direction == "max" else list(means)
    return [1 + sum(other < own for other in better) for own in better]


def _compare(row: Mapping[int, float], baseline: Mapping[int, float]) -> Comparison | None:
    shared = sorted(row.keys() & baseline.keys())
    if not shared:
        return None
    differences = [row[seed] - baseline[seed] for seed in shared]
    found = Comparison(len(shared), statistics.fmean(differences))
    size = max(abs(baseline[seed]) for seed in shared)
    if not (tested := _t_test(differences, size)):
        return found
    interval, p_value = tested
    effect = found.difference / statistics.stdev(differences)
    return replace(found, interval=interval, p_value=p_value, seeds_needed=seeds_needed(effect))


def _t_test(values: Sequence[float], size: float = 0.0) -> tuple[Interval, float] | None:
    """The interval of the mean and the p-value of its being 0; None where there are too few values or no spread beyond
    the rounding of numbers of this ``size``."""
    if len(values) < MIN_SEEDS or statistics.stdev(values) <= 1e-12 * max(size, *map(abs, values)):
        return None
    from scipy.stats import ttest_1samp  # a second to import, and most calls come no further than this

    test: Any = ttest_1samp(values, 0.0)  # scipy's annotations lack its fields
    interval = test.confidence_interval(CONFIDENCE)
    return (_stable(interval.low), _stable(interval.high)), _stable(test.pvalue)


def _stable(value: float) -> float:
    """12 digits: the last ones depend on the machine's math library, and tables are compared byte by byte."""
    return float(f"{value:.12g}")
