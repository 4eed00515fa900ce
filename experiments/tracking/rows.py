"""A run's history and summary under the names that they have in wandb."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from experiments.runs.records import CLOSING_FIELDS

AXES = ("update", "tokens", "sentences", "images", "epoch")
SUMMARY = ("metrics", "wall_seconds", "updates", "error", *sorted(CLOSING_FIELDS))


def as_wandb_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the history as ``<split>/<name>``; numbers that are missing or were not finite are left out."""
    named = {name: row[name] for name in AXES if row.get(name) is not None}
    for name, value in row.items():
        if name not in (*AXES, "split") and value is not None:
            named[f"{row['split']}/{name}"] = value
    return named


def as_wandb_rows(history: Iterable[Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    """The rows by step, which is the update: training and validation of one update are one row in wandb."""
    rows: dict[int, dict[str, Any]] = {}
    for row in history:
        rows.setdefault(row["update"], {}).update(as_wandb_row(row))
    return rows


def as_wandb_summary(record: Mapping[str, Any]) -> dict[str, Any]:
    """Status, metrics and costs of a record, nested names joined by ``/``; a killed run's status is ``dead``."""
    status = "dead" if record["status"] == "running" else record["status"]
    return {"status": status} | _joined({name: record.get(name) for name in SUMMARY})


def same(stored: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether two rows have the same names and values; numbers may differ by what JSON rounds."""
    return stored.keys() == expected.keys() and all(equal(stored[name], expected[name]) for name in expected)


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-12)
    return left == right


def _joined(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _joined(value, f"{prefix}{name}/")
        elif value is not None:
            flat[f"{prefix}{name}"] = value
    return flat
