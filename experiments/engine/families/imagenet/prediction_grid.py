"""A picture of predictions: each image, beside it where the model looks, above it what it says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLUMNS = 6
RIGHT, WRONG, UNKNOWN = "#009E73", "#D55E00", "#000000"  # Okabe and Ito's, which any color vision tells apart


@dataclass(frozen=True)
class Prediction:
    """One image and what a model makes of it.

    Attributes:
        image: Float[height width 3] in [0, 1], as the model saw it.
        attention: Float[rows columns], the weight of each patch.
        name: path or number of the image.
        predicted: the most likely class, with this ``certainty``.
        label: the class it has; None where nobody knows.
    """

    image: np.ndarray
    attention: np.ndarray
    name: str
    predicted: str
    certainty: float
    label: str | None


def draw_predictions(predictions: Sequence[Prediction], path: Path) -> None:
    """Write a PNG: pairs of image and attention, green where the prediction is right and orange where it is wrong."""
    columns = min(COLUMNS, len(predictions))
    rows = math.ceil(len(predictions) / columns)
    figure = Figure(figsize=(2.6 * columns, 1.75 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, 2 * columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for index, prediction in enumerate(predictions):
        row, column = divmod(index, columns)
        left, right = grid[row, 2 * column], grid[row, 2 * column + 1]
        left.imshow(prediction.image, interpolation="nearest")
        right.imshow(prediction.attention, cmap="viridis", interpolation="nearest")
        known = prediction.label is not None
        color = UNKNOWN if not known else RIGHT if prediction.label == prediction.predicted else WRONG
        text = f"{_short(prediction.predicted)} {prediction.certainty:.0%}"
        if known and prediction.label != prediction.predicted:
            text += f"\n(is {_short(prediction.label or '')})"
        left.set_title(text, fontsize=8, color=color, loc="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _short(name: str) -> str:
    """A class's name that fits, without what mathematics would start with."""
    name = name.replace("$", r"\$")
    return name if len(name) <= 18 else f"{name[:17]}…"
