"""What the records of a row and a column come to."""

from __future__ import annotations

import math

import pytest

from experiments.tables.aggregate import aggregate
from experiments.tables.reference import Figure
from experiments.tables.spec import Column
from tests.experiments.tables.support import ROWS, record, results, spec


def test_mean_and_sample_standard_deviation_by_hand() -> None:
    cell = results({"none": [10.0, 12.0, 17.0]}).lines[0].cells[0]
    assert cell.mean == 13.0
    assert cell.std == pytest.approx(math.sqrt((9 + 1 + 16) / 2))
    assert (cell.seeds, cell.wanted) == (3, 3)


def test_one_seed_has_no_spread_and_no_record_has_no_number() -> None:
    lines = results({"none": [10.0]}).lines
    assert (lines[0].cells[0].mean, lines[0].cells[0].std, lines[0].cells[0].seeds) == (10.0, None, 1)
    assert all((cell.mean, cell.seeds) == (None, 0) for cell in lines[1].cells)


def test_best_and_within_one_standard_deviation_of_the_best() -> None:
    # best: mean 10, std 1; rope is exactly one standard deviation away, lrpe just beyond
    lines = results({"none": [9.0, 10.0, 11.0], "rope": [11.0, 11.0], "lrpe": [11.01, 11.01]}).lines
    assert [(line.cells[0].best, line.cells[0].near_best) for line in lines] == [
        (True, False),
        (False, True),
        (False, False),
    ]


def test_direction_decides_what_is_best() -> None:
    records = {("none", "p", ()): [record(1, 10.0, 100.0)], ("rope", "p", ()): [record(1, 10.0, 200.0)]}
    lines = aggregate(spec(), ROWS, spec().columns, ["p"], 1, records, {}).lines
    assert [cell.best for cell in lines[0].cells] == [True, False, False], (
        "equal means are both best; sizes are not rated"
    )
    assert [cell.best for cell in lines[1].cells] == [True, True, False]
    assert lines[0].cells[2].mean == pytest.approx(2.5), "scaled"


def test_a_diverged_run_is_left_out_and_counted_as_missing() -> None:
    cell = results({"none": [10.0, None, 12.0]}).lines[0].cells[0]
    assert (cell.mean, cell.seeds, cell.wanted) == (11.0, 2, 3)


def test_reference_and_baseline_differences() -> None:
    lines = results(
        {"none": [10.0], "rope": [9.0]},
        {("rope", "test_perplexity"): Figure(9.5), ("lrpe", "test_perplexity"): Figure(8.0)},
    ).lines
    assert (lines[1].cells[0].reference, lines[1].cells[0].difference) == (Figure(9.5), -0.5)
    assert (lines[1].cells[0].from_baseline, lines[0].cells[0].from_baseline) == (-1.0, None)
    assert (lines[2].cells[0].reference, lines[2].cells[0].difference) == (Figure(8.0), None)


def test_an_average_is_of_the_seeds_that_every_column_has() -> None:
    columns = (
        Column("A", "max", 1, "metrics.valid_score", scale=100.0, overrides=("task=a",), key="a"),
        Column("B", "max", 1, "metrics.valid_score", scale=100.0, overrides=("task=b",), key="b"),
        Column("Average", "max", 1, average_of=("a", "b"), key="average"),
    )
    measured = {"a": {1: 0.5, 2: 0.7}, "b": {1: 0.9, 3: 0.1}}
    records = {
        ("rope", "p", (f"task={task}",)): [
            record(seed, metrics={"valid_score": score}) for seed, score in found.items()
        ]
        for task, found in measured.items()
    }
    (line,) = aggregate(spec(columns=columns), ROWS[1:2], columns, ["p"], 3, records, {}).lines
    assert [cell.mean for cell in line.cells] == pytest.approx([60.0, 50.0, 70.0])
    assert [cell.seeds for cell in line.cells] == [2, 2, 1]
    assert len(line.records["p"]) == 4


def test_a_row_without_a_column_has_an_empty_cell_and_lacks_no_seed() -> None:
    column = Column("Test ppl", "min", 2, "metrics.test_perplexity", rows=("rope",))
    records = {(key, "p", ()): [record(1)] for key in ("none", "rope")}
    lines = aggregate(spec(columns=(column,)), ROWS, (column,), ["p"], 1, records, {}).lines
    assert [(line.cells[0].mean, line.cells[0].seeds, line.cells[0].wanted) for line in lines] == [
        (None, 0, 0),
        (10.0, 1, 1),
        (None, 0, 0),
    ]
