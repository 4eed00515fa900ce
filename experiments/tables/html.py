"""A grid as one HTML page that needs nothing else."""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode

from experiments.tables.sheet import Grid, Sheet, Text

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid;
  display: block; overflow-x: auto; width: fit-content; max-width: 100%; }
th, td { padding: .3rem .8rem; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead { border-bottom: 1px solid; }
td a { color: inherit; text-decoration: none; }
td a:hover, td a:focus { text-decoration: underline; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
ul { color: #555; font-size: 13px; padding-left: 1.2rem; }
"""


# Where `make dashboard` writes its page, seen from the folder of tables.
DASHBOARD = "../dashboard.html"


def render_html(grid: Grid) -> str:
    """Each number is a link to the runs behind it in the dashboard's page."""
    notes = [*grid.footnotes, *grid.footer]
    if any(text.runs for _, texts in grid.rows for text in texts):
        notes.append("a number leads to its runs in the dashboard's page, which make dashboard writes")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            f'<head><meta charset="utf-8"><title>{escape(grid.title)}</title><style>{_STYLE}</style></head>',
            f"<body><h1>{escape(grid.title)}</h1>",
            *_table(grid),
            *(line for sheet in grid.comparisons for line in (f"<h2>{escape(sheet.title)}</h2>", *_table(sheet))),
            f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>",
            "</body></html>",
            "",
        ]
    )


def _table(sheet: Sheet) -> list[str]:
    head = "".join(f"<th>{escape(header)}</th>" for header in sheet.headers)
    rows = [f"<tr><td>{escape(label)}</td>{''.join(map(_cell, texts))}</tr>" for label, texts in sheet.rows]
    return [f"<table><thead><tr>{head}</tr></thead><tbody>", *rows, "</tbody></table>"]


def _cell(text: Text) -> str:
    value = escape(text.value)
    shown = f"<strong>{value}</strong>" if text.bold else f"<u>{value}</u>" if text.underlined else value
    if text.runs:
        # The page's filter `path` (experiments/dashboard/assets/state.js).
        query = urlencode([("is.path", run) for run in text.runs])
        shown = f'<a href="{DASHBOARD}#{escape(query)}">{shown}</a>'
    rest = escape(Text("", text.spread, text.note).plain)
    return f"<td>{shown} {rest}</td>" if rest else f"<td>{shown}</td>"
