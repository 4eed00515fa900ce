"""Thinned parametrizations: every pair of values stays."""

from __future__ import annotations

from itertools import combinations, product

from tests.pairwise import pairwise


def test_every_pair_of_values_meets_in_far_fewer_cases() -> None:
    cases = [dict(zip("abcd", values, strict=True)) for values in product(range(4), repeat=4)]
    kept = [cases[index] for index in pairwise(cases)]
    for left, right in combinations("abcd", 2):
        assert {(case[left], case[right]) for case in kept} == set(product(range(4), repeat=2))
    assert len(kept) <= 32 < len(cases)


def test_a_single_parameter_keeps_all_its_values() -> None:
    assert pairwise([{"a": value} for value in range(5)]) == list(range(5))
