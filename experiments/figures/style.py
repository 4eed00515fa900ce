"""What all figures share: a palette for any color vision, line styles for print in gray, files that repeat."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, ScalarFormatter
from PIL import Image

from experiments.util.files import write_atomically

# Okabe and Ito's palette, which readers with any color vision can tell apart; styles and markers for print in gray.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "*", "h")
MARKERS_PER_CURVE = 6
IN_A_CORNER = 12  # lines of a legend, at most
BAND_OPACITY = 0.18
WIDE = 8  # times the smallest value
DPI = 160
# Without these a file holds the time and random names, and differs at every drawing.
_REPRODUCIBLE = {"svg.hashsalt": "lrpe", "svg.fonttype": "none", "font.family": "DejaVu Sans", "pdf.fonttype": 42}
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}
FORMATS = tuple(_METADATA)


def look(index: int) -> dict[str, Any]:
    """Color, line style and marker of the ``index``-th line; 21 differ in color and style, 56 in color and marker, so
    that single points are told apart too."""
    # Colors and styles have the same period; shifting the styles each round keeps pairs distinct.
    style = STYLES[(index + index // len(COLORS)) % len(STYLES)]
    marker = MARKERS[index % len(MARKERS)]
    return {"color": COLORS[index % len(COLORS)], "linestyle": style, "marker": marker, "markersize": 5}


@contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """A figure in inches; save it inside the context, whose settings make its files repeat."""
    with matplotlib.rc_context(_REPRODUCIBLE):  # pyright: ignore[reportArgumentType]
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def save(figure: Figure, stem: Path, formats: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Write ``<stem>.<format>`` each; the same figure gives the same bytes."""
    paths = []
    for kind in formats:
        path = stem.with_name(f"{stem.name}.{kind}")
        drawn = io.BytesIO()
        figure.savefig(drawn, format=kind, dpi=DPI, metadata=_METADATA[kind])
        content = with_palette(drawn) if kind == "png" else drawn.getvalue()
        write_atomically(path, content)  # two tables may draw it at once
        paths.append(path)
    return paths


def with_palette(png: io.BytesIO) -> bytes:
    """The same picture in 256 colors, a third of the bytes: figures are kept in git beside their records."""
    small = io.BytesIO()
    with Image.open(png) as image:
        # A palette by frequency would leave a color bar, few pixels each, in steps.
        method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
        colors = image.convert("RGB").quantize(256, method=method, kmeans=1, dither=dither)
    colors.save(small, "png", optimize=True, dpi=(DPI, DPI))
    return small.getvalue()


def clean(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def log_scale(axes: Axes) -> None:
    """A vertical log scale with plain numbers, at 1, 2 and 5 of each decade where that is enough; call it last."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > WIDE * low else MaxNLocator(6))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())


def length_axis(axes: Axes, lengths: Sequence[int]) -> None:
    """A horizontal log scale in powers of two with a tick at each measured length."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(lengths))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def literal(text: str) -> str:
    """Text as it is: two dollar signs would start mathematics."""
    return text.replace("$", r"\$")
