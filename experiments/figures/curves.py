"""Training curves: a validation quantity and the training loss against updates, one line an encoding."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from experiments.figures import style

# What every row of a history may hold; any other name in a validation's row is a quantity of its task.
_COMMON = (
    "update", "tokens", "sentences", "images", "split", "epoch", "wall_seconds", "loss", "perplexity", "learning_rate",
    "gradient_norm", "tokens_per_second", "images_per_second", "peak_memory_bytes", "loss_scale",
)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """The histories of one row of a table, one per seed; ``look`` is its place in the palette, by default its own."""

    label: str
    histories: Sequence[Sequence[Mapping[str, Any]]]
    look: int | None = None


@dataclass(frozen=True)
class Curve:
    """Mean and range over seeds at each update that at least one seed has."""

    updates: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def curve_of(histories: Sequence[Sequence[Mapping[str, Any]]], split: str, name: str) -> Curve:
    """Combine seeds; a value that was not finite is not there, and seeds need not share their updates."""
    values: dict[int, list[float]] = {}
    for history in histories:
        for row in history:
            if row["split"] == split and row.get(name) is not None:
                values.setdefault(row["update"], []).append(row[name])
    updates = sorted(values)
    return Curve(
        updates,
        [statistics.fmean(values[update]) for update in updates],
        [min(values[update]) for update in updates],
        [max(values[update]) for update in updates],
    )


def validation_quantity(series: Sequence[Series]) -> str:
    """What validations measured: a quantity of the task such as accuracy where there is one, else the perplexity."""
    names = [
        name for one in series for rows in one.histories for row in rows if row["split"] == "valid" for name in row
    ]
    own = [name for name in names if name not in _COMMON]
    return own[0] if own else "perplexity" if "perplexity" in names or not names else "loss"


def draw_training_curves(series: Sequence[Series], stem: Path, title: str) -> list[Path]:
    """Write ``<stem>-curves.png``, ``.pdf`` and ``.svg``; the same input gives the same bytes.

    A band shows the range over seeds where there are several. Returns no path where no history has a row.
    """
    if not any(row for one in series for row in one.histories):
        return []
    many = len(series) > style.IN_A_CORNER
    with style.new_figure(14 if many else 11, max(4.2, 0.22 * len(series))) as figure:
        left, right = figure.subplots(1, 2)
        quantity = validation_quantity(series)
        _draw(left, series, "valid", quantity)
        _draw(right, series, "train", "loss")
        left.set(xlabel="update", ylabel=f"validation {quantity.replace('_', ' ')}")
        if quantity == "perplexity":
            style.log_scale(left)
        right.set(
            xlabel="update", ylabel="training loss (nats per token)" if quantity == "perplexity" else "training loss"
        )
        for axes in (left, right):
            style.clean(axes)
        if many:
            figure.legend(*left.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize="small")
        else:
            left.legend(frameon=False, fontsize="small")
        figure.suptitle(style.literal(title))
        return style.save(figure, stem.with_name(f"{stem.name}-curves"), style.FORMATS)


def _draw(axes: Axes, series: Sequence[Series], split: str, name: str) -> None:
    for index, one in enumerate(series):
        curve = curve_of(one.histories, split, name)
        look = style.look(index if one.look is None else one.look)
        every = max(1, len(curve.updates) // style.MARKERS_PER_CURVE)
        axes.plot(curve.updates, curve.mean, **look, markevery=every, label=style.literal(one.label))
        if len(one.histories) > 1:
            axes.fill_between(
                curve.updates, curve.low, curve.high, color=look["color"], alpha=style.BAND_OPACITY, linewidth=0
            )
