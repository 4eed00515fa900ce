"""Histories become short columns without losing what a reader looks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.dashboard.curves import MOST_ROWS, curves_of, shortened, thinned


def row(update: int, split: str = "train", **values: Any) -> dict[str, Any]:
    return {"update": update, "split": split, **values}


def test_every_number_of_a_row_is_a_column_of_its_split() -> None:
    history = [row(1, loss=3.0, note="words"), row(1, "valid", accuracy=0.25), row(2, loss=None, gradient_norm=0.5)]
    curves = curves_of(history)
    assert set(curves) == {"train", "valid"}
    assert set(curves["train"].columns) == {"update", "loss", "gradient_norm"}
    np.testing.assert_array_equal(curves["train"].columns["loss"], [3.0, np.nan])
    np.testing.assert_array_equal(curves["train"].columns["gradient_norm"], [np.nan, 0.5])
    assert curves["valid"].columns["accuracy"].dtype == np.float32


def test_a_long_history_keeps_its_ends_its_extremes_and_its_number_of_rows() -> None:
    values = np.sin(np.arange(10_000) / 700)
    values[1_234], values[7_777] = 50.0, -50.0
    curve = curves_of([row(update, loss=float(value)) for update, value in enumerate(values)])["train"]
    updates, losses = curve.columns["update"], curve.columns["loss"]
    assert curve.rows == 10_000
    assert MOST_ROWS <= len(updates) <= MOST_ROWS + 4
    assert (updates[0], updates[-1]) == (0, 9_999)
    assert losses[updates == 1_234] == 50
    assert losses[updates == 7_777] == -50


def test_thinned_rows_are_evenly_spaced_and_a_short_history_is_whole() -> None:
    assert thinned({"loss": np.arange(100.0)}).tolist() == list(range(100))
    gaps = np.diff(thinned({"loss": np.arange(24_000.0)}))
    assert gaps.max() - gaps.min() <= 1
    assert thinned({}).size == 0


def test_seconds_count_on_over_segments_and_a_resumed_row_belongs_to_the_later_one() -> None:
    segments = [{"from_update": 0, "seconds": 100.0}, {"from_update": 20, "seconds": None}]
    history = [row(10, wall_seconds=40.0), row(20, wall_seconds=80.0), row(30, wall_seconds=5.0)]
    assert curves_of(history, segments)["train"].columns["wall_seconds"].tolist() == [40.0, 80.0, 105.0]


@given(arrays(np.float32, st.integers(1, 40), elements=st.floats(width=32, allow_subnormal=False)))
def test_shortened_values_keep_five_digits(values: np.ndarray) -> None:
    short = shortened(values)
    finite = np.isfinite(values)
    np.testing.assert_array_equal(short[~finite], values[~finite])
    assert np.isfinite(short[finite]).all()
    error = np.abs(short[finite].astype(np.float64) - values[finite])
    assert (error <= 2**-18 * np.abs(values[finite].astype(np.float64))).all()


@pytest.mark.parametrize("largest", [10**5, 65_536 * 100_000])
def test_whole_numbers_stay_exact(largest: int) -> None:
    counted = np.linspace(0, largest, 101).astype(np.float32)
    np.testing.assert_array_equal(shortened(counted), counted)
    assert counted[-1] == largest
