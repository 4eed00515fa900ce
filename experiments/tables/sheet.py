"""Tables as plain text with marks: what every renderer writes in its own notation."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.tables.spec import Column

EMPTY = "—"


@dataclass(frozen=True)
class Text:
    """One cell: a number (or :data:`EMPTY`), its spread, a note such as ``3/5`` seeds, its marks, and the folders of
    the ``runs`` behind it, relative to the results folder."""

    value: str
    spread: str | None = None
    note: str | None = None
    bold: bool = False
    underlined: bool = False
    runs: tuple[str, ...] = ()

    @property
    def plain(self) -> str:
        parts = [self.value, f"± {self.spread}" if self.spread else "", f"({self.note})" if self.note else ""]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Sheet:
    """``rows`` holds a label and one :class:`Text` for each of ``headers`` after the first."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Text, ...]], ...]


@dataclass(frozen=True)
class Grid(Sheet):
    """The table; ``footnotes`` are what a header such as ``sibling paper [1]`` refers to, and stand beneath the table
    wherever it is shown; ``comparisons`` are tables of their own, shown after it."""

    footer: tuple[str, ...]
    footnotes: tuple[str, ...] = ()
    comparisons: tuple[Sheet, ...] = ()


def signed(value: float | None, column: Column, runs: tuple[str, ...] = ()) -> Text:
    """A difference with its sign, which zero has none of."""
    if value is None:
        return Text(EMPTY)
    shown = f"{value:+,.{column.digits}f}"
    return Text(shown if shown.strip("+-0.,") else shown[1:], runs=runs)
