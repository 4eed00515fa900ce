"""Training curves: validation perplexity and training loss against updates, one line an encoding."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

# Okabe and Ito's palette, which readers with any colour vision can tell apart; line styles for print in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
# Without these a file holds the time and random names, and differs at every drawing.
_REPRODUCIBLE = {"svg.hashsalt": "lrpe", "svg.fonttype": "none", "font.family": "DejaVu Sans", "pdf.fonttype": 42}
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}


@dataclass(frozen=True)
class Series:
    """The histories of one row of a table, one a seed."""

    label: str
    histories: Sequence[Sequence[Mapping[str, Any]]]


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


def draw_training_curves(series: Sequence[Series], stem: Path, title: str) -> list[Path]:
    """Write ``<stem>-curves.png``, ``.pdf`` and ``.svg``; the same input gives the same bytes.

    A band shows the range over seeds where there are several. Returns no path where no history has a row.
    """
    if not any(row for one in series for row in one.histories):
        return []
    with matplotlib.rc_context(_REPRODUCIBLE):
        figure = Figure(figsize=(11, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        perplexity, loss = figure.subplots(1, 2)
        _draw(perplexity, series, "valid", "perplexity")
        _draw(loss, series, "train", "loss")
        perplexity.set(xlabel="update", ylabel="validation perplexity", yscale="log")
        perplexity.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        perplexity.yaxis.set_major_formatter(ScalarFormatter())
        perplexity.yaxis.set_minor_formatter(NullFormatter())
        loss.set(xlabel="update", ylabel="training loss (nats a token)")
        for axes in (perplexity, loss):
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        perplexity.legend(frameon=False, fontsize="small")
        figure.suptitle(_literal(title))
        stem.parent.mkdir(parents=True, exist_ok=True)
        paths = []
        for kind, metadata in _METADATA.items():
            path = stem.with_name(f"{stem.name}-curves.{kind}")
            figure.savefig(path, dpi=160, metadata=metadata)
            paths.append(path)
    return paths


def _draw(axes: Axes, series: Sequence[Series], split: str, name: str) -> None:
    for index, one in enumerate(series):
        curve = curve_of(one.histories, split, name)
        # Colours and styles have the same period; shifting the styles each round keeps pairs distinct.
        colour = COLOURS[index % len(COLOURS)]
        style = STYLES[(index + index // len(COLOURS)) % len(STYLES)]
        marker = "o" if len(curve.updates) == 1 else None
        axes.plot(curve.updates, curve.mean, color=colour, linestyle=style, marker=marker, label=_literal(one.label))
        if len(one.histories) > 1:
            axes.fill_between(curve.updates, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)


def _literal(text: str) -> str:
    """Two dollar signs would start mathematics."""
    return text.replace("$", r"\$")
