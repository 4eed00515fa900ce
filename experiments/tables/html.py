"""A grid as one HTML page that needs nothing else."""

from __future__ import annotations

from html import escape

from experiments.tables.grid import Grid, Text

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid;
  display: block; overflow-x: auto; width: fit-content; max-width: 100%; }
th, td { padding: .3rem .8rem; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead { border-bottom: 1px solid; }
ul { color: #555; font-size: 13px; padding-left: 1.2rem; }
"""


def render_html(grid: Grid) -> str:
    head = "".join(f"<th>{escape(header)}</th>" for header in grid.headers)
    rows = [f"<tr><td>{escape(label)}</td>{''.join(map(_cell, texts))}</tr>" for label, texts in grid.rows]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            f'<head><meta charset="utf-8"><title>{escape(grid.title)}</title><style>{_STYLE}</style></head>',
            f"<body><h1>{escape(grid.title)}</h1>",
            f"<table><thead><tr>{head}</tr></thead><tbody>",
            *rows,
            "</tbody></table>",
            f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in (*grid.footnotes, *grid.footer))}</ul>",
            "</body></html>",
            "",
        ]
    )


def _cell(text: Text) -> str:
    value = escape(text.value)
    shown = f"<strong>{value}</strong>" if text.bold else f"<u>{value}</u>" if text.underlined else value
    rest = escape(Text("", text.spread, text.note).plain)
    return f"<td>{shown} {rest}</td>" if rest else f"<td>{shown}</td>"
