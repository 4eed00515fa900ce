"""A table's numbers laid out as text."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.tables.aggregate import Cell, Line, Results
from experiments.tables.comparison_sheet import comparison_sheets
from experiments.tables.reference import Figure
from experiments.tables.sheet import EMPTY, Grid, Text, signed
from experiments.tables.spec import Column


def make_grid(results: Results, footer: Sequence[str]) -> Grid:
    """Lay the results out. Beside a column stand, where there are any, the distance from the baseline row, the paper's
    figure and the distance from it, sibling papers' likewise; at the end the ranks under two protocols. What seeds tell
    of the baseline's distance is in the comparisons."""
    headers, shown = [results.spec.row_header], set[int]()
    cells: list[list[Text]] = [[] for _ in results.lines]
    for index, (_, column) in enumerate(results.columns):
        measured = [line.cells[index] for line in results.lines]
        headers.append(results.header(index))
        _extend(cells, [_measured(cell, column) for cell in measured])
        if any(cell.from_baseline is not None for cell in measured):
            headers.append(f"Δ {results.spec.baseline}")
            behind = results.baseline_runs(index)
            _extend(cells, [signed(cell.from_baseline, column, (*cell.runs, *behind)) for cell in measured])
        if any(cell.reference is not None for cell in measured):
            headers += ["paper", "Δ paper"]
            _extend(cells, [_figure(cell.reference, column) for cell in measured])
            _extend(cells, [signed(cell.difference, column) for cell in measured])
        for number in sorted({number for cell in measured for number in cell.siblings}):
            shown.add(number)
            headers += [f"sibling paper [{number}]", f"Δ [{number}]"]
            figures = [cell.siblings.get(number) for cell in measured]
            _extend(cells, [_figure(figure, column) for figure in figures])
            differences = [cell.difference_from(figure) for cell, figure in zip(measured, figures, strict=True)]
            _extend(cells, [signed(difference, column) for difference in differences])
    for index, (_, column) in enumerate(results.columns[: len(results.columns) // len(results.protocols)]):
        if any(line.cells[index].rank is not None for line in results.lines):
            headers.append(f"Rank {column.header}")
            _extend(cells, [_ranks(results, line, index) for line in results.lines])
    rows = tuple((line.row.label, tuple(texts)) for line, texts in zip(results.lines, cells, strict=True))
    footnotes = tuple(f"[{number}] {results.siblings[number - 1]}" for number in sorted(shown))
    return Grid(results.spec.title, tuple(headers), rows, tuple(footer), footnotes, comparison_sheets(results))


def _extend(cells: list[list[Text]], column: list[Text]) -> None:
    for row, text in zip(cells, column, strict=True):
        row.append(text)


def _measured(cell: Cell, column: Column) -> Text:
    if cell.mean is None:
        return Text(EMPTY)
    return Text(
        f"{cell.mean:,.{column.digits}f}",
        spread=None if cell.std is None or column.is_a_count else f"{cell.std:,.{column.digits}f}",
        note=f"{cell.seeds}/{cell.wanted}" if cell.seeds < cell.wanted else None,
        bold=cell.best,
        underlined=cell.near_best,
        runs=cell.runs,
    )


def _figure(figure: Figure | None, column: Column) -> Text:
    if figure is None:
        return Text(EMPTY)
    return Text(
        f"{figure.mean:,.{column.digits}f}",
        spread=None if figure.std is None else f"{figure.std:,.{column.digits}f}",
    )


def _ranks(results: Results, line: Line, index: int) -> Text:
    change = results.rank_change(line, index)
    first = line.cells[index].rank
    if change is None or first is None:
        return Text(EMPTY)
    return Text(f"{first} → {first + change}", note=f"{change:+d}" if change else "0")
