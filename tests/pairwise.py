"""A small set of a test's parametrized cases in which every pair of parameter values still meets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any


def pairwise(cases: Sequence[Mapping[str, Any]]) -> list[int]:
    """Indices of cases that together have every pair of (parameter, value) that occurs in ``cases``, greedily.

    Cases with fewer than two parameters are all kept.
    """
    pairs = [set(combinations(sorted((name, repr(value)) for name, value in case.items()), 2)) for case in cases]
    missing = set().union(*pairs)
    if not missing:
        return list(range(len(cases)))
    chosen: list[int] = []
    while missing:
        best = max(range(len(cases)), key=lambda index: len(pairs[index] & missing))
        chosen.append(best)
        missing -= pairs[best]
    return sorted(chosen)
