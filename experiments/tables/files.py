"""Writing a table's files, all derived from one set of numbers."""

from __future__ import annotations

from pathlib import Path

from experiments.tables.aggregate import Results
from experiments.tables.comma_separated import render_csv
from experiments.tables.html import render_html
from experiments.tables.latex import render_latex
from experiments.tables.markdown import render_markdown
from experiments.tables.sheet import Grid
from experiments.util.files import write_atomically


def write_table(stem: Path, results: Results, grid: Grid) -> list[Path]:
    """``<stem>.md``, ``.tex``, ``.csv`` and ``.html``, each written whole."""
    texts = {
        ".md": render_markdown(grid),
        ".tex": render_latex(grid),
        ".csv": render_csv(results),
        ".html": render_html(grid),
    }
    paths = []
    for suffix, text in texts.items():
        path = stem.with_name(stem.name + suffix)
        write_atomically(path, text)
        paths.append(path)
    return paths
