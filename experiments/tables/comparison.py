"""What can be said of two rows: whether their seeds differ, and which place each takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def paired_p_value(row: Mapping[int, float], baseline: Mapping[int, float]) -> float | None:
    """The two-sided p-value of a paired t-test over the seeds that both have (``scipy.stats.ttest_rel``).

    t = mean(d) sqrt(n) / std(d) of the differences d, with n - 1 degrees of freedom. A seed draws the same data order
    under every encoding, which is what makes pairs of them. None where fewer than two seeds are shared or where all
    differences are equal: then there is no spread to compare with.
    """
    shared = sorted(row.keys() & baseline.keys())
    if len(shared) < 2 or len({row[seed] - baseline[seed] for seed in shared}) == 1:
        return None
    from scipy.stats import ttest_rel  # a second to import, and most calls come no further than this

    value = float(ttest_rel([row[seed] for seed in shared], [baseline[seed] for seed in shared]).pvalue)
    return value if math.isfinite(value) else None


def ranks(means: Sequence[float], direction: str) -> list[int]:
    """The place of each mean, 1 for the best; equal means share the best place that they take up together."""
    better = [-mean for mean in means] if direction == "max" else list(means)
    return [1 + sum(other < own for other in better) for own in better]
