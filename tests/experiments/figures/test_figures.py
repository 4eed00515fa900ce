"""Training curves are drawn from histories, the same bytes each time."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments.figures import Series, curve_of, draw_training_curves
from experiments.figures.style import look, new_figure, with_palette


def history(scale: float, updates: range = range(10, 60, 10)) -> list[dict[str, Any]]:
    rows = []
    for update in updates:
        rows.append(
            {"update": update, "split": "train", "loss": scale / update, "perplexity": math.exp(scale / update)}
        )
        rows.append({"update": update, "split": "valid", "loss": 2 * scale, "perplexity": 100 * scale / update})
    return rows


def test_seeds_are_combined_update_by_update() -> None:
    first, second = history(1.0), history(3.0, range(10, 40, 10))
    curve = curve_of([first, second], "valid", "perplexity")
    assert curve.updates == [10, 20, 30, 40, 50]
    assert curve.mean == pytest.approx([20.0, 10.0, 20 / 3, 2.5, 2.0])
    assert (curve.low[0], curve.high[0]) == (10.0, 30.0)
    assert (curve.low[-1], curve.high[-1]) == (2.0, 2.0)


def test_values_that_were_not_finite_are_left_out() -> None:
    rows = history(1.0)
    rows[-1]["perplexity"] = None
    assert curve_of([rows], "valid", "perplexity").updates == [10, 20, 30, 40]


def test_all_three_formats_are_drawn_and_reproducible(tmp_path: Path) -> None:
    series = [Series("RoPE $x$ & <y>_1", [history(1.0), history(1.2)]), Series("LRPE", [history(0.8)])]
    first = draw_training_curves(series, tmp_path / "a" / "alm", "Title $")
    second = draw_training_curves(series, tmp_path / "b" / "alm", "Title $")
    assert [path.name for path in first] == ["alm-curves.png", "alm-curves.pdf", "alm-curves.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.suffix
    svg = first[2].read_text()
    assert "RoPE $x$ &amp; &lt;y&gt;_1" in svg
    assert "validation perplexity" in svg
    with Image.open(first[0]) as image:
        assert image.size[0] > 1000
        assert len(image.convert("RGB").getcolors(10**6) or []) > 50, "there is something on it"


def test_a_legend_of_many_lines_stands_beside_the_curves(tmp_path: Path) -> None:
    few, many = (
        draw_training_curves(
            [Series(f"row {index}", [history(1.0)]) for index in range(count)], tmp_path / str(count), "t"
        )
        for count in (3, 30)
    )
    heights = []
    for paths in (few, many):
        with Image.open(paths[0]) as image:
            # The left axes' vertical line is the longest dark one: it has to keep its length beside a long legend.
            dark = np.asarray(image.convert("L")) < 60
            heights.append(dark.sum(0).max() / dark.shape[0])
    assert min(heights) > 0.7


def test_a_band_is_drawn_for_several_seeds_only(tmp_path: Path) -> None:
    one = draw_training_curves([Series("a", [history(1.0)])], tmp_path / "one", "t")[2].read_text()
    two = draw_training_curves([Series("a", [history(1.0), history(2.0)])], tmp_path / "two", "t")[2].read_text()
    assert "FillBetween" not in one
    assert two.count("FillBetween") == 2


def test_a_run_without_rows_draws_nothing(tmp_path: Path) -> None:
    assert draw_training_curves([Series("a", [[]])], tmp_path / "x", "t") == []
    assert list(tmp_path.iterdir()) == []


def test_more_encodings_than_colors_stay_distinct() -> None:
    looks = [look(index) for index in range(56)]
    assert len({(each["color"], each["linestyle"]) for each in looks[:21]}) == 21
    assert len({(each["color"], each["marker"]) for each in looks}) == 56


def test_a_palette_keeps_a_color_bar_of_256_steps_beside_text() -> None:
    drawn = io.BytesIO()
    with new_figure(4, 3) as figure:
        axes = figure.subplots()
        axes.set_title("tr(W) relative to distance 0")
        figure.colorbar(axes.imshow(np.random.default_rng(0).random((2, 40)), cmap="RdBu", vmin=-1, vmax=1), ax=axes)
        figure.savefig(drawn, format="png", dpi=160)
    with Image.open(drawn) as image, Image.open(io.BytesIO(with_palette(drawn))) as small:
        before, after = (np.asarray(one.convert("RGB")).astype(int) for one in (image, small))
    assert small.mode == "P"
    assert np.abs(before - after).max() <= 8
