"""A figure of a table: its rows against the baseline row, sorted, with the intervals that the table has."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from PIL import Image

from experiments.figures.effects import draw_effects, draw_tables, effects_of
from experiments.tables.aggregate import Results
from experiments.tables.comma_separated import render_csv
from experiments.util.errors import UserError
from tests.experiments.tables.support import results

VALUES = {"none": [10.0, 11.0, 12.0], "rope": [10.5, 11.1, 12.9], "lrpe": [8.0, 9.5, 9.8]}


def table(folder: Path, made: Results, name: str = "alm-demo-controlled") -> Path:
    path = folder / f"{name}.csv"
    path.write_text(render_csv(made))
    return path


def test_effects_are_the_tables_best_first(tmp_path: Path) -> None:
    made = results(VALUES)
    (panel,) = effects_of(table(tmp_path, made)).panels
    assert (panel.header, panel.baseline, panel.sign) == ("Test ppl", "none", 1)
    assert [effect.label for effect in panel.effects] == ["Label lrpe", "Label rope"]
    cells = {line.row.label: line.cells[0].comparison for line in made.lines}
    for effect in panel.effects:
        found = cells[effect.label]
        assert (effect.difference, (effect.low, effect.high)) == (pytest.approx(found.difference), found.interval)
        assert effect.significant == (found.holm < 0.05)
    assert [effect.significant for effect in panel.effects] == [True, False]


def test_where_more_is_better_the_largest_is_first(tmp_path: Path) -> None:
    text = render_csv(results(VALUES)).replace("Test ppl", "Top-1 (%)")
    path = tmp_path / "imagenet-demo-controlled.csv"
    path.write_text(text)
    (panel,) = effects_of(path).panels
    assert [effect.label for effect in panel.effects] == ["Label rope", "Label lrpe"]


def test_the_figure_repeats_and_grows_with_its_rows(tmp_path: Path) -> None:
    found = effects_of(table(tmp_path, results(VALUES)))
    first, second = (draw_effects(found, tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == ["a-effects.png", "a-effects.pdf"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    with Image.open(first[0]) as image:
        assert len(image.convert("RGB").getcolors(10**6) or []) > 50


def test_tables_of_the_chosen_runs_are_drawn(tmp_path: Path) -> None:
    table(tmp_path, results(VALUES))
    table(tmp_path, results({name: values[:2] for name, values in VALUES.items()}), "alm-small-controlled")
    assert draw_tables(tmp_path, ["ffffffff"], tmp_path, print) == []
    drawn = draw_tables(tmp_path, ["0123abcd"], tmp_path / "out", print)
    assert [path.name for path in drawn] == ["alm-demo-controlled-effects.png", "alm-demo-controlled-effects.pdf"]


def test_a_table_from_before_intervals_is_named_with_the_remedy(tmp_path: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(render_csv(results(VALUES)))))
    out = io.StringIO()
    writer = csv.DictWriter(out, ["label", "protocol", "mean"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(lines)
    path = tmp_path / "alm-demo-controlled.csv"
    path.write_text(out.getvalue())
    with pytest.raises(UserError, match=r"alm-demo-controlled\.csv is no table with confidence intervals; render it"):
        effects_of(path)
    said: list[str] = []
    table(tmp_path, results(VALUES), "blm-demo-controlled")
    drawn = draw_tables(tmp_path, ["0123abcd"], tmp_path, said.append)
    assert [path.name for path in drawn] == ["blm-demo-controlled-effects.png", "blm-demo-controlled-effects.pdf"]
    assert len(said) == 1, "the others are drawn all the same"
