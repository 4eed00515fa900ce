"""A grid as GitHub-flavoured Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from experiments.tables.grid import Grid, Text

_SPECIAL = str.maketrans({**{sign: f"\\{sign}" for sign in "\\|*_`[]$#~"}, "<": "&lt;", ">": "&gt;", "\n": " "})


def render_markdown(grid: Grid) -> str:
    lines = [f"### {escape(grid.title)}", "", _line(escape(header) for header in grid.headers)]
    lines.append(_line(["---", *["---:"] * (len(grid.headers) - 1)]))
    lines += [_line([escape(label), *(_cell(text) for text in texts)]) for label, texts in grid.rows]
    return "\n".join([*lines, "", *(f"- {escape(note)}" for note in (*grid.footnotes, *grid.footer)), ""])


def escape(text: str) -> str:
    return text.translate(_SPECIAL)


def _cell(text: Text) -> str:
    value = escape(text.value)
    shown = f"**{value}**" if text.bold else f"<u>{value}</u>" if text.underlined else value
    return Text(shown, text.spread, text.note).plain


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
