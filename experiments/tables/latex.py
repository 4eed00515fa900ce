"""A grid as a LaTeX table (packages: booktabs)."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.tables.sheet import EMPTY, Grid, Sheet, Text

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "Δ": r"$\Delta$", "—": "---", "→": r"$\rightarrow$", "\n": " ",
}  # fmt: skip


def render_latex(grid: Grid) -> str:
    """One ``table`` for the grid and one for each of its comparisons."""
    # A line break in a note must not end its comment.
    notes = [f"% {' '.join(note.split())}" for note in grid.footer]
    tables = [_table(grid, grid.footnotes), *(_table(sheet) for sheet in grid.comparisons)]
    return "\n".join([r"% \usepackage{booktabs}", *notes, *(line for table in tables for line in table), ""])


def _table(sheet: Sheet, footnotes: Sequence[str] = ()) -> list[str]:
    return [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(sheet.title)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(sheet.headers) - 1)}}}",
        r"\toprule",
        _line([escape(header) for header in sheet.headers]),
        r"\midrule",
        *(_line([escape(label), *(_cell(text) for text in texts)]) for label, texts in sheet.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip{{\footnotesize {escape(note)}}}" for note in footnotes),
        r"\end{table}",
    ]


def escape(text: str) -> str:
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


def _cell(text: Text) -> str:
    if text.value == EMPTY:
        return escape(EMPTY)
    value = f"${text.value}$" if text.value[0] in "+-<>[" else escape(text.value)
    shown = rf"\textbf{{{value}}}" if text.bold else rf"\underline{{{value}}}" if text.underlined else value
    rest = escape(Text("", text.spread, text.note).plain)
    return f"{shown} {rest}" if rest else shown


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
