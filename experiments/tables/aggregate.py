"""Mean and spread over seeds, which value is best, and how far from the baseline's, the paper's, another protocol's."""

from __future__ import annotations

import math
import statistics
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from experiments.runs.records import Record
from experiments.tables.comparison import Comparison, Interval, compare_rows, mean_interval, ranks
from experiments.tables.reference import Figure
from experiments.tables.spec import Column, Row, TableSpec


@dataclass(frozen=True)
class Cell:
    """What one row measured in one column; everything but ``wanted`` is None or 0 where no record stands behind it.

    Attributes:
        reference: the paper's figure, and ``difference`` of the mean from it.
        siblings: figures of sibling papers, by their numbers in :attr:`Results.siblings`, counted from 1.
        interval: confidence interval of the mean over seeds.
        from_baseline: difference from the baseline row's mean; ``comparison``: over the seeds that both have.
        rank: the row's place in this column, among the rows that every protocol of the table has measured.
        runs: the folders of the runs behind it, relative to the results folder.
    """

    mean: float | None
    std: float | None
    seeds: int
    wanted: int
    best: bool = False
    near_best: bool = False
    reference: Figure | None = None
    difference: float | None = None
    interval: Interval | None = None
    from_baseline: float | None = None
    comparison: Comparison | None = None
    rank: int | None = None
    siblings: Mapping[int, Figure] = field(default_factory=dict)
    runs: tuple[str, ...] = ()

    def difference_from(self, figure: Figure | None) -> float | None:
        """Of the mean from a figure; None where either is not there."""
        return None if self.mean is None or figure is None else self.mean - figure.mean


@dataclass(frozen=True)
class Line:
    """``records`` are the finished runs of the row, under the protocol they were asked for."""

    row: Row
    cells: tuple[Cell, ...]
    records: Mapping[str, tuple[Record, ...]]


@dataclass(frozen=True)
class Results:
    """The numbers of a table. ``columns`` stands once for every protocol, in that order; so do each line's cells.
    ``siblings`` are notes on the sibling papers whose figures cells may have."""

    spec: TableSpec
    protocols: tuple[str, ...]
    columns: tuple[tuple[str, Column], ...]
    lines: tuple[Line, ...]
    siblings: tuple[str, ...] = ()

    @property
    def records(self) -> list[Record]:
        """All of them, each once, also where two protocols come to the same run."""
        every = [record for line in self.lines for records in line.records.values() for record in records]
        return list({record.folder: record for record in every}.values())

    def header(self, index: int) -> str:
        """Of a column, with its protocol where there are several."""
        protocol, column = self.columns[index]
        return column.header + (f" ({protocol})" if len(self.protocols) > 1 else "")

    def baseline_runs(self, index: int) -> tuple[str, ...]:
        """The runs behind the baseline row's cell of a column."""
        return next((line.cells[index].runs for line in self.lines if line.row.key == self.spec.baseline), ())

    def rank_change(self, line: Line, index: int) -> int | None:
        """Rank under the last protocol minus that under the first, of the table's column at ``index``: a row that wins
        places by the change has less than 0."""
        width = len(self.columns) // len(self.protocols)
        first, last = line.cells[index % width].rank, line.cells[index % width - width].rank
        return None if first is None or last is None else last - first


Records = Mapping[tuple[str, str, tuple[str, ...]], Sequence[Record]]


def aggregate(
    spec: TableSpec,
    rows: Sequence[Row],
    table_columns: Sequence[Column],
    protocols: Sequence[str],
    wanted: int,
    records: Records,
    reference: Mapping[tuple[str, str], Figure],
    siblings: Mapping[tuple[str, str, str], Mapping[int, Figure]] | None = None,
    sibling_notes: Sequence[str] = (),
) -> Results:
    """Combine finished ``records``, given by (row key, protocol, column overrides), with ``wanted`` seeds a cell.

    The spread is the sample standard deviation (n - 1), and None for one seed. The best mean of a column is marked,
    and so is every other mean within one standard deviation (the best row's) of it.
    """
    columns = tuple((protocol, column) for protocol in protocols for column in table_columns)
    measured = [
        [
            values_by_seed(row.key, protocol, column, table_columns, records) if column.has(row.key) else {}
            for protocol, column in columns
        ]
        for row in rows
    ]
    grid = [
        [
            replace(
                _cell(
                    found,
                    wanted if column.has(row.key) else 0,
                    reference.get((row.key, column.name)),
                    (siblings or {}).get((row.key, protocol, column.name), {}),
                ),
                runs=_runs_behind(row.key, protocol, column, table_columns, records, found),
            )
            for found, (protocol, column) in zip(values, columns, strict=True)
        ]
        for row, values in zip(rows, measured, strict=True)
    ]
    keys = [row.key for row in rows]
    for index, (_, column) in enumerate(columns):
        _mark_best(grid, index, column)
        if column.compare and spec.baseline in keys:
            _compare(grid, index, [values[index] for values in measured], keys.index(spec.baseline))
    if len(protocols) > 1:
        for index, column in enumerate(table_columns):
            if column.compare and column.direction != "none":
                _rank(grid, range(index, len(columns), len(table_columns)), column.direction)
    lines = tuple(
        Line(row, tuple(cells), {protocol: _records_of(row.key, protocol, records) for protocol in protocols})
        for row, cells in zip(rows, grid, strict=True)
    )
    return Results(spec, tuple(protocols), columns, lines, tuple(sibling_notes))


def _cell(values: Mapping[int, float], wanted: int, paper: Figure | None, siblings: Mapping[int, Figure]) -> Cell:
    found = list(values.values())
    mean = statistics.fmean(found) if found else None
    std = statistics.stdev(found) if len(found) > 1 else None
    cell = Cell(mean, std, len(found), wanted, reference=paper, interval=mean_interval(found), siblings=siblings)
    return replace(cell, difference=cell.difference_from(paper))


def values_by_seed(
    row: str, protocol: str, column: Column, columns: Sequence[Column], records: Records
) -> dict[int, float]:
    """What was measured, by seed; an average has the seeds that all of its columns have."""
    if column.average_of:
        averaged = [other for other in columns if other.metric and other.name in column.average_of]
        parts = [values_by_seed(row, protocol, other, columns, records) for other in averaged]
        seeds = [seed for seed in parts[0] if all(seed in part for part in parts)] if parts else []
        return {seed: statistics.fmean(part[seed] for part in parts) * column.scale for seed in seeds}
    found = {
        record["run"]["seed"]: value_of(record, column) for record in records.get((row, protocol, column.overrides), ())
    }
    return {seed: value for seed, value in found.items() if value is not None}


def _runs_behind(
    row: str, protocol: str, column: Column, columns: Sequence[Column], records: Records, seeds: Container[int]
) -> tuple[str, ...]:
    measured = [other for other in columns if other.name in column.average_of] if column.average_of else [column]
    return tuple(
        "/".join(("runs", *record.folder.parts[-3:]))  # experiment, encoding and identity, seed
        for variant in dict.fromkeys(other.overrides for other in measured)
        for record in records.get((row, protocol, variant), ())
        if record["run"]["seed"] in seeds
    )


def _records_of(row: str, protocol: str, records: Records) -> tuple[Record, ...]:
    return tuple(
        record for (key, under, _), found in records.items() if (key, under) == (row, protocol) for record in found
    )


def value_of(record: Mapping[str, Any], column: Column) -> float | None:
    """A record's number for a column, or None where it has none (a run that diverged has null there)."""
    value: Any = record
    for part in column.metric.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) * column.scale


def _mean(cell: Cell) -> float:
    """Of a cell that has one."""
    assert cell.mean is not None
    return cell.mean


def _mark_best(grid: list[list[Cell]], index: int, column: Column) -> None:
    measured = [row[index] for row in grid if row[index].mean is not None]
    if column.direction == "none" or len(measured) < 2:
        return
    sign = 1 if column.direction == "min" else -1
    best = min(measured, key=lambda cell: sign * _mean(cell))
    for row in grid:
        cell = row[index]
        if cell.mean is None:
            continue
        is_best = cell.mean == best.mean
        is_near = not is_best and best.std is not None and abs(cell.mean - _mean(best)) <= best.std
        row[index] = replace(cell, best=is_best, near_best=is_near)


def _compare(grid: list[list[Cell]], index: int, values: list[dict[int, float]], baseline: int) -> None:
    origin = grid[baseline][index].mean
    for place, (row, comparison) in enumerate(zip(grid, compare_rows(values, baseline), strict=True)):
        mean = row[index].mean
        if origin is not None and mean is not None and place != baseline:
            row[index] = replace(row[index], from_baseline=mean - origin, comparison=comparison)


def _rank(grid: list[list[Cell]], indices: Sequence[int], direction: str) -> None:
    measured = [row for row in grid if all(row[index].mean is not None for index in indices)]
    for index in indices:
        for row, rank in zip(measured, ranks([_mean(row[index]) for row in measured], direction), strict=True):
            row[index] = replace(row[index], rank=rank)
