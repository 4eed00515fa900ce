"""A grid as GitHub-flavored Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from experiments.tables.sheet import Grid, Sheet, Text

_SPECIAL = str.maketrans({**{sign: f"\\{sign}" for sign in "\\|*_`[]$#~"}, "<": "&lt;", ">": "&gt;", "\n": " "})


def render_markdown(grid: Grid) -> str:
    notes = [f"- {escape(note)}" for note in (*grid.footnotes, *grid.footer)]
    return "\n".join([*(line for sheet in (grid, *grid.comparisons) for line in _table(sheet)), *notes, ""])


def _table(sheet: Sheet) -> list[str]:
    level = "###" if isinstance(sheet, Grid) else "####"
    lines = [f"{level} {escape(sheet.title)}", "", _line(escape(header) for header in sheet.headers)]
    lines.append(_line(["---", *["---:"] * (len(sheet.headers) - 1)]))
    return [*lines, *(_line([escape(label), *map(_cell, texts)]) for label, texts in sheet.rows), ""]


def escape(text: str) -> str:
    return text.translate(_SPECIAL)


def _cell(text: Text) -> str:
    value = escape(text.value)
    shown = f"**{value}**" if text.bold else f"<u>{value}</u>" if text.underlined else value
    return Text(shown, text.spread, text.note).plain


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
