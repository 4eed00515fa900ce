"""What seeds tell of the rows of a column against the baseline row, as a table below the main one."""

from __future__ import annotations

import math

from experiments.tables.aggregate import Cell, Results
from experiments.tables.comparison import ALPHA, CONFIDENCE, MAX_SEEDS, MIN_SEEDS, POWER, Comparison, Interval
from experiments.tables.sheet import EMPTY, Sheet, Text, signed
from experiments.tables.spec import Column

_SHARE = f"{CONFIDENCE:.0%}"


def comparison_sheets(results: Results) -> tuple[Sheet, ...]:
    """One for each column that is compared with the baseline row and has enough seeds to say anything."""
    return tuple(
        _sheet(results, index)
        for index, (_, column) in enumerate(results.columns)
        if column.compare and any(line.cells[index].interval is not None for line in results.lines)
    )


def comparison_notes(results: Results) -> list[str]:
    """What the comparisons hold and how it is computed, or why there is none."""
    baseline = results.spec.baseline
    compared = [
        cell
        for line in results.lines
        for cell, (_, column) in zip(line.cells, results.columns, strict=True)
        if column.compare and cell.mean is not None
    ]
    if not compared:
        return []
    if all(cell.seeds < MIN_SEEDS for cell in compared):
        return [f"fewer than {MIN_SEEDS} seeds: no interval, p-value or power; any difference may be chance"]
    notes = [f"{_SHARE} CI: Student's t confidence interval, of the mean over seeds or of the difference"]
    if any(cell.comparison for cell in compared):
        notes += [
            f"p: two-sided paired t-test against {baseline} over the seeds that both rows have, as is the difference "
            f"beside it; p (Holm): corrected for the number of rows of the column, bold below {ALPHA}",
            f"seeds needed: for the test (level {ALPHA}, uncorrected) to find a difference of the size seen with power "
            f"{POWER}, by the noncentral t distribution; a rough figure, since so is the spread of a few seeds",
        ]
    if any(0 < cell.seeds < MIN_SEEDS for cell in compared):
        notes.append(f"too few: below {MIN_SEEDS} seeds no interval, p-value or power is shown")
    return notes


def _sheet(results: Results, index: int) -> Sheet:
    _, column = results.columns[index]
    baseline = results.spec.baseline
    compared = any(line.cells[index].comparison for line in results.lines)
    headers = [results.spec.row_header, f"Mean, {_SHARE} CI"]
    if compared:
        headers += [f"Δ {baseline}", f"Δ, {_SHARE} CI", "p", "p (Holm)", "Seeds", "Seeds needed"]
    behind = results.baseline_runs(index)
    rows = tuple(
        (
            line.row.label,
            (
                Text(_interval(line.cells[index].interval, column), runs=line.cells[index].runs),
                *(_compared(line.cells[index], column, behind) if compared else ()),
            ),
        )
        for line in results.lines
    )
    title = f"{results.header(index)}: what the seeds tell" + (f", against {baseline}" if compared else "")
    return Sheet(title, tuple(headers), rows)


def _compared(cell: Cell, column: Column, behind: tuple[str, ...]) -> tuple[Text, ...]:
    found = cell.comparison
    if found is None:  # the baseline, or a row that shares no seed with it
        return (*[Text(EMPTY)] * 4, _seeds(cell.seeds), Text(EMPTY))
    return (
        signed(found.difference, column, (*cell.runs, *behind)),
        Text(_interval(found.interval, column, signs="+")),
        Text(_p_value(found.p_value)),
        Text(_p_value(found.holm), bold=found.holm is not None and found.holm < ALPHA),
        _seeds(found.seeds),
        Text(_needed(found)),
    )


def _seeds(count: int) -> Text:
    return Text(str(count), note="too few" if 0 < count < MIN_SEEDS else None) if count else Text(EMPTY)


def _interval(interval: Interval | None, column: Column, signs: str = "") -> str:
    if interval is None:
        return EMPTY
    low, high = (f"{end:{signs},.{column.digits}f}" for end in interval)
    return f"[{low}, {high}]"


def _p_value(value: float | None) -> str:
    return EMPTY if value is None else f"{value:.3f}" if value >= 0.001 else "<0.001"


def _needed(found: Comparison) -> str:
    if found.seeds_needed is None:
        return EMPTY
    return f"{found.seeds_needed:.0f}" if math.isfinite(found.seeds_needed) else f">{MAX_SEEDS}"
