"""The page's arithmetic against numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def test_mean_and_sample_standard_deviation(call: Any) -> None:
    values = np.random.default_rng(0).normal(100, 5, 7).tolist()
    found = call("statistics.summary", values)
    assert found["mean"] == pytest.approx(np.mean(values), rel=1e-12)
    assert found["std"] == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert (found["low"], found["high"], found["count"]) == (min(values), max(values), 7)
    assert call("statistics.summary", [3.0])["std"] is None


def test_smoothing_is_a_weighted_mean_of_what_came_before(call: Any) -> None:
    values = np.random.default_rng(1).normal(size=20)
    weight = 0.8
    expected = [np.average(values[: end + 1], weights=weight ** np.arange(end, -1, -1)) for end in range(20)]
    np.testing.assert_allclose(call("statistics.smooth", values.tolist(), weight), expected, rtol=1e-12)
    np.testing.assert_array_equal(call("statistics.smooth", values.tolist(), 0), values)
    np.testing.assert_allclose(call("statistics.smooth", [2.0] * 5, 0.9), 2.0)


def test_interpolation_is_linear_and_says_nothing_beyond_the_ends(call: Any) -> None:
    x, y = [1.0, 2.0, 5.0], [10.0, 20.0, 50.0]
    assert call("statistics.interpolate", {"x": x, "y": y}, [0.5, 1, 1.5, 2, 4, 5, 6]) == [
        None,
        10,
        15,
        20,
        40,
        50,
        None,
    ]
    at = np.sort(np.random.default_rng(2).uniform(1, 5, 30))
    np.testing.assert_allclose(call("statistics.interpolate", {"x": x, "y": y}, at.tolist()), np.interp(at, x, y))


def test_bands_are_over_the_seeds_that_reach_a_point(call: Any) -> None:
    band = call("statistics.bandOf", [[1.0, 2.0, None], [3.0, None, None]], "range")
    assert band == {"mean": [2, 2, None], "low": [1, 2, None], "high": [3, 2, None], "count": [2, 1, 0]}
    band = call("statistics.bandOf", [[1.0], [3.0]], "std")
    assert (band["low"][0], band["high"][0]) == pytest.approx((2 - 2**0.5, 2 + 2**0.5))


def test_abscissas_are_all_or_evenly_many(call: Any) -> None:
    curves = [{"x": [1, 2, 4]}, {"x": [2, 3]}, {"x": []}]
    assert call("statistics.sharedAbscissas", curves) == [1, 2, 3, 4]
    many = [{"x": np.linspace(start, 1000, 200).tolist()} for start in (1.0, 1.5, 2.0)]
    assert call("statistics.sharedAbscissas", many, {"most": 5}) == pytest.approx(np.linspace(1, 1000, 5).tolist())
    logarithmic = call("statistics.sharedAbscissas", many, {"most": 4, "logX": True})
    assert logarithmic == pytest.approx([1, 10, 100, 1000])


def test_points_that_an_axis_cannot_show_are_left_out(call: Any) -> None:
    x, y = [0.0, 1.0, 2.0, 2.0, 3.0], [1.0, -1.0, 2.0, 9.0, None]
    assert call("statistics.points", x, y, {}) == {"x": [0, 1, 2], "y": [1, -1, 2]}
    assert call("statistics.points", x, y, {"logX": True, "logY": True}) == {"x": [2], "y": [2]}
    assert call("statistics.points", None, y) == {"x": [], "y": []}


@pytest.mark.parametrize(
    ("low", "high", "wanted", "expected"),
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (0.13, 0.31, 4, [0.15, 0.2, 0.25, 0.3]),
        (-1, 1, 4, [-1, -0.5, 0, 0.5, 1]),
        (3, 3, 4, [3]),
    ],
)
def test_ticks_are_round(call: Any, low: float, high: float, wanted: int, expected: list[float]) -> None:
    assert call("ticks.linearTicks", low, high, wanted) == expected


def test_logarithmic_ticks(call: Any) -> None:
    assert call("ticks.logTicks", 9, 1100, 8) == [10, 20, 50, 100, 200, 500, 1000]
    assert call("ticks.logTicks", 1e-7, 1e-3, 3) == pytest.approx([1e-7, 1e-5, 1e-3])
    assert call("ticks.logTicks", 4.1, 4.9, 4) == pytest.approx([4.2, 4.4, 4.6, 4.8]), "none of 1, 2, 5 is in there"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (116.4983, "116.50"), (4.75332, "4.7533"), (0.0123456, "0.012346"), (1203200, "1,203,200"), (0, "0"),
        (8477.34, "8,477.3"), (5e-4, "5.000e-4"), (12345678.9, "1.235e+7"), (None, "not finite"), (-2.5, "-2.5000"),
    ],
)  # fmt: skip
def test_numbers_have_five_digits(call: Any, value: float | None, text: str) -> None:
    assert call("format.number", value) == text


def test_spreads_and_changes_have_the_decimals_of_what_they_stand_beside(call: Any) -> None:
    assert call("format.spread", 115.972, 0.41234) == "115.97 ± 0.41"
    assert call("format.spread", 115.972, None) == "115.97"
    assert call("format.change", 116.5, 105.26) == "−11.24"
    assert call("format.change", 1, None) == "–"


@pytest.mark.parametrize(("seconds", "text"), [(6, "0:06"), (125.4, "2:05"), (3723, "1:02:03"), (90061, "1 d 1:01:01")])
def test_durations(call: Any, seconds: float, text: str) -> None:
    assert call("format.duration", seconds) == text
