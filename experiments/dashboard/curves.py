"""The history of a run as columns that a page can hold a thousand of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MOST_ROWS = 240  # about one a pixel pair of a plot; a longer history is thinned to this, its extremes kept
_NOT_MEASURED = ("split",)


@dataclass(frozen=True)
class Curve:
    """One split of a history: ``columns`` (quantity to float32 values, NaN where a row has no finite number), all of
    one length, sorted by update, and the number of ``rows`` of the history, of which they may be fewer."""

    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: int = 0


def curves_of(history: Sequence[Mapping[str, Any]], segments: Sequence[Mapping[str, Any]] = ()) -> dict[str, Curve]:
    """A curve a split. Every number of a row is a column; ``wall_seconds`` counts on over ``segments``, while a
    history counts from the start of each.
    """
    splits: dict[str, list[Mapping[str, Any]]] = {}
    for row in history:
        splits.setdefault(str(row["split"]), []).append(row)
    return {split: _curve(rows, segments) for split, rows in splits.items()}


def thinned(columns: Mapping[str, np.ndarray], most: int = MOST_ROWS) -> np.ndarray:
    """Indices of the rows to keep: evenly spaced ones, the first, the last, and the extremes of every column.

    Even spacing rather than extremes of each stretch: a mean over seeds of kept rows is then a mean of typical ones.
    """
    length = max((len(values) for values in columns.values()), default=0)
    if length <= most:
        return np.arange(length)
    kept = set(np.linspace(0, length - 1, most).round().astype(int).tolist())
    for values in columns.values():
        finite = np.flatnonzero(np.isfinite(values))
        if finite.size:
            kept |= {int(finite[values[finite].argmin()]), int(finite[values[finite].argmax()])}
    return np.array(sorted(kept))


def shortened(values: np.ndarray) -> np.ndarray:
    """float32 values to 18 significant bits, which compress better: the relative error is at most 2^-18, below half a
    unit of the fifth digit, the last that the page shows. Whole numbers, such as updates and tokens, stay exact.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0 or (np.mod(finite, 1) == 0).all():
        return values
    bits = values.view(np.uint32)
    # Half of the last kept bit is added first, so that it rounds; a NaN or an infinity must keep its bits.
    rounded = ((bits + np.uint32(0x20)) & np.uint32(0xFFFFFFC0)).view(np.float32)
    return np.where(np.isfinite(values) & np.isfinite(rounded), rounded, values)


def _curve(rows: Sequence[Mapping[str, Any]], segments: Sequence[Mapping[str, Any]]) -> Curve:
    offsets = _segment_offsets(rows, segments)
    names = dict.fromkeys(name for row in rows for name in row if name not in _NOT_MEASURED)
    columns: dict[str, np.ndarray] = {}
    for name in names:
        values = np.array([_number(row.get(name)) for row in rows])
        if name == "wall_seconds":
            values = values + offsets
        if np.isfinite(values).any():
            columns[name] = values
    kept = thinned(columns)
    with np.errstate(over="ignore"):
        made = {name: shortened(values[kept].astype(np.float32)) for name, values in columns.items()}
    return Curve(made, len(rows))


def _segment_offsets(rows: Sequence[Mapping[str, Any]], segments: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Seconds of the segments before the one that wrote each row: the last that began before the row's update."""
    before, starts = 0.0, []
    for segment in segments:
        starts.append((segment.get("from_update") or 0, before))
        before += segment.get("seconds") or 0.0
    return np.array(
        [
            next((seconds for start, seconds in reversed(starts) if start < row["update"]), 0.0)
            for row in rows
        ]
    )  # fmt: skip


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (bool, int, float)) else np.nan
