"""A grid in the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text as Styled

from experiments.tables.sheet import Grid, Sheet, Text


def print_grid(grid: Grid, console: Console) -> None:
    """The tables alone, one line per row; where the terminal is narrower, it breaks the lines and no number is cut."""
    _print(grid, console)
    for note in grid.footnotes:
        console.print(Styled(note))
    for sheet in grid.comparisons:
        _print(sheet, console)


def _print(sheet: Sheet, console: Console) -> None:
    table = Table(title=Styled(sheet.title), title_justify="left", box=SIMPLE_HEAD)
    for index, header in enumerate(sheet.headers):
        table.add_column(Styled(header), justify="left" if index == 0 else "right", no_wrap=True)
    for label, texts in sheet.rows:
        table.add_row(Styled(label), *(_cell(text) for text in texts))
    table.width = Measurement.get(console, console.options.update(width=10_000), table).maximum
    console.print(table, crop=False)


def _cell(text: Text) -> Styled:
    style = "bold" if text.bold else "underline" if text.underlined else ""
    rest = Text("", text.spread, text.note).plain
    return Styled.assemble((text.value, style), f" {rest}" if rest else "")
