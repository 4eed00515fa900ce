"""The names that rows and summaries of a run have in wandb."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AXES = ("update", "tokens", "sentences", "images", "epoch")


def as_wandb_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the history under wandb's names; numbers that are missing or were not finite are left out."""
    named = {name: row[name] for name in AXES if row.get(name) is not None}
    for name, value in row.items():
        if name not in (*AXES, "split") and value is not None:
            named[f"{row['split']}/{name}"] = value
    return named


def as_wandb_summary(summary: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A summary with nested names joined by ``/``; what is missing is left out."""
    flat: dict[str, Any] = {}
    for name, value in summary.items():
        if isinstance(value, Mapping):
            flat.update(as_wandb_summary(value, f"{prefix}{name}/"))
        elif value is not None:
            flat[f"{prefix}{name}"] = value
    return flat
