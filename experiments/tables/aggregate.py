"""Mean and spread over seeds, which value is best, and how far from the paper's."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.records import Record
from experiments.tables.spec import Column, Row, TableSpec


@dataclass(frozen=True)
class Cell:
    """What one row measured in one column; everything but ``wanted`` is None or 0 where no record stands behind it."""

    mean: float | None
    std: float | None
    seeds: int
    wanted: int
    best: bool = False
    near_best: bool = False
    reference: float | None = None
    difference: float | None = None
    from_baseline: float | None = None


@dataclass(frozen=True)
class Line:
    """``records`` are the finished runs of the row, under the protocol they were asked for."""

    row: Row
    cells: tuple[Cell, ...]
    records: Mapping[str, tuple[Record, ...]]


@dataclass(frozen=True)
class Results:
    """The numbers of a table. ``columns`` stands once for every protocol, in that order; so do each line's cells."""

    spec: TableSpec
    protocols: tuple[str, ...]
    columns: tuple[tuple[str, Column], ...]
    lines: tuple[Line, ...]

    @property
    def records(self) -> list[Record]:
        """All of them, each once, also where two protocols come to the same run."""
        every = [record for line in self.lines for records in line.records.values() for record in records]
        return list({record.folder: record for record in every}.values())


def aggregate(
    spec: TableSpec,
    rows: Sequence[Row],
    protocols: Sequence[str],
    wanted: int,
    records: Mapping[tuple[str, str], Sequence[Record]],
    reference: Mapping[tuple[str, str], float],
) -> Results:
    """Combine finished ``records``, given by (row key, protocol), with ``wanted`` seeds a cell.

    The spread is the sample standard deviation (n - 1), and None for one seed. The best mean of a column is marked,
    and so is every other mean within one standard deviation (the best row's) of it.
    """
    columns = tuple((protocol, column) for protocol in protocols for column in spec.columns)
    grid: list[list[Cell]] = []
    for row in rows:
        cells = []
        for protocol, column in columns:
            found = [value_of(record, column) for record in records.get((row.key, protocol), ())]
            values = [value for value in found if value is not None]
            mean = statistics.fmean(values) if values else None
            std = statistics.stdev(values) if len(values) > 1 else None
            paper = reference.get((row.key, column.name))
            difference = None if mean is None or paper is None else mean - paper
            cells.append(Cell(mean, std, len(values), wanted, reference=paper, difference=difference))
        grid.append(cells)
    for index, (_, column) in enumerate(columns):
        _mark_best(grid, index, column)
        if column.compare:
            _compare(grid, index, [row.key for row in rows], spec.baseline)
    lines = tuple(
        Line(row, tuple(cells), {protocol: tuple(records.get((row.key, protocol), ())) for protocol in protocols})
        for row, cells in zip(rows, grid, strict=True)
    )
    return Results(spec, tuple(protocols), columns, lines)


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


def _mark_best(grid: list[list[Cell]], index: int, column: Column) -> None:
    measured = [row[index] for row in grid if row[index].mean is not None]
    if column.direction == "none" or len(measured) < 2:
        return
    sign = 1 if column.direction == "min" else -1
    best = min(measured, key=lambda cell: sign * cell.mean)
    for row in grid:
        cell = row[index]
        if cell.mean is None:
            continue
        is_best = cell.mean == best.mean
        is_near = not is_best and best.std is not None and abs(cell.mean - best.mean) <= best.std
        row[index] = replace(cell, best=is_best, near_best=is_near)


def _compare(grid: list[list[Cell]], index: int, keys: list[str], baseline: str | None) -> None:
    if baseline not in keys:
        return
    origin = grid[keys.index(baseline)][index].mean
    for key, row in zip(keys, grid, strict=True):
        if origin is not None and row[index].mean is not None and key != baseline:
            row[index] = replace(row[index], from_baseline=row[index].mean - origin)
