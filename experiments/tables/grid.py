"""The cells of a table as plain text with marks: what every renderer writes in its own notation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.tables.aggregate import Cell, Results
from experiments.tables.spec import Column

EMPTY = "—"


@dataclass(frozen=True)
class Text:
    """One cell: a number (or :data:`EMPTY`), its spread, a note such as ``3/5`` seeds, and its marks."""

    value: str
    spread: str | None = None
    note: str | None = None
    bold: bool = False
    underlined: bool = False

    @property
    def plain(self) -> str:
        parts = [self.value, f"± {self.spread}" if self.spread else "", f"({self.note})" if self.note else ""]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Grid:
    """``rows`` holds a label and one :class:`Text` for each of ``headers`` after the first."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Text, ...]], ...]
    footer: tuple[str, ...]


def make_grid(results: Results, footer: Sequence[str]) -> Grid:
    """Lay the results out. Beside a column stand, where there are any, the distance from the baseline row, the
    paper's figure and the distance from it."""
    headers = ["Encoding"]
    cells: list[list[Text]] = [[] for _ in results.lines]
    for index, (protocol, column) in enumerate(results.columns):
        measured = [line.cells[index] for line in results.lines]
        headers.append(column.header + (f" ({protocol})" if len(results.protocols) > 1 else ""))
        _extend(cells, [_measured(cell, column) for cell in measured])
        if any(cell.from_baseline is not None for cell in measured):
            headers.append(f"Δ {results.spec.baseline}")
            _extend(cells, [_signed(cell.from_baseline, column) for cell in measured])
        if any(cell.reference is not None for cell in measured):
            headers += ["paper", "Δ paper"]
            _extend(cells, [_number(cell.reference, column) for cell in measured])
            _extend(cells, [_signed(cell.difference, column) for cell in measured])
    rows = tuple((line.row.label, tuple(texts)) for line, texts in zip(results.lines, cells, strict=True))
    return Grid(results.spec.title, tuple(headers), rows, tuple(footer))


def _extend(cells: list[list[Text]], column: list[Text]) -> None:
    for row, text in zip(cells, column, strict=True):
        row.append(text)


def _measured(cell: Cell, column: Column) -> Text:
    if cell.mean is None:
        return Text(EMPTY)
    return Text(
        f"{cell.mean:,.{column.digits}f}",
        # Equal values, such as parameter counts, have no spread to speak of.
        spread=f"{cell.std:,.{column.digits}f}" if cell.std else None,
        note=f"{cell.seeds}/{cell.wanted}" if cell.seeds < cell.wanted else None,
        bold=cell.best,
        underlined=cell.near_best,
    )


def _number(value: float | None, column: Column) -> Text:
    return Text(EMPTY if value is None else f"{value:,.{column.digits}f}")


def _signed(value: float | None, column: Column) -> Text:
    if value is None:
        return Text(EMPTY)
    shown = f"{value:+,.{column.digits}f}"
    return Text(shown if shown.strip("+-0.,") else shown[1:])
