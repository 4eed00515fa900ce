"""The same numbers as text, Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path

import pytest
from rich.console import Console

from experiments.tables import latex, markdown
from experiments.tables.aggregate import aggregate
from experiments.tables.comma_separated import render_csv
from experiments.tables.grid import make_grid
from experiments.tables.html import render_html
from experiments.tables.reference import Figure
from experiments.tables.spec import Row
from experiments.tables.terminal import print_grid
from tests.experiments.tables.support import grid_of, record, results, spec


def test_cells_as_text() -> None:
    grid = grid_of({"none": [9.0, 10.0, 11.0], "rope": [10.5]}, {("none", "test_perplexity"): Figure(10.004)})
    assert grid.headers == ("Encoding", "Test ppl", "Δ none", "paper", "Δ paper", "Tokens/s", "Parameters (M)")
    texts = [[text.plain for text in cells] for _, cells in grid.rows]
    assert texts[0] == ["10.00 ± 1.00", "—", "10.00", "0.00", "100", "2.5"]
    assert texts[1] == ["10.50 (1/3)", "+0.50", "—", "—", "100 (1/3)", "2.5 (1/3)"]
    assert texts[2] == ["—"] * 6


@pytest.mark.parametrize("width", [30, 200])
def test_a_terminal_of_any_width_shows_a_row_a_line_and_cuts_nothing(width: int) -> None:
    out = io.StringIO()
    grid = grid_of({"none": [9.0, 10.0, 11.0], "rope": [10.5]}, {("none", "test_perplexity"): Figure(10.004)})
    print_grid(grid, Console(file=out, width=width, soft_wrap=True))
    for label, texts in grid.rows:
        (line,) = [line for line in out.getvalue().splitlines() if label in line]
        assert line.split() == " ".join([label, *(text.plain for text in texts)]).split()


def test_without_reference_or_records_there_are_no_such_columns() -> None:
    assert grid_of({}).headers == ("Encoding", "Test ppl", "Tokens/s", "Parameters (M)")


def test_markdown_by_hand() -> None:
    text = markdown.render_markdown(grid_of({"none": [9.0, 10.0, 11.0], "rope": [10.5]}))
    lines = text.splitlines()
    assert lines[2] == "| Encoding | Test ppl | Δ none | Tokens/s | Parameters (M) |"
    assert lines[3] == "| --- | ---: | ---: | ---: | ---: |"
    assert lines[4] == "| Label none | **10.00** ± 1.00 | — | **100** | 2.5 |"
    assert lines[5].startswith("| Label rope | <u>10.50</u> (1/3) | +0.50 |")
    assert lines[-1] == "- a note"


def test_latex_by_hand() -> None:
    text = latex.render_latex(grid_of({"none": [9.0, 10.0, 11.0], "rope": [10.5], "lrpe": [9.99]}))
    assert r"\begin{tabular}{lrrrr}" in text
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\usepackage{booktabs}"))
    assert r"Label none & 10.00 $\pm$ 1.00 & --- &" in text, "one seed has no spread to be within"
    assert r"Label lrpe & \textbf{9.99} (1/3) & $-0.01$ &" in text
    assert text.index("% a note") < text.index(r"\begin{table}")


HOSTILE = "50% & a_b #1 {x} $y$ ~ ^ \\z <script>alert('1')</script> | *b* `c`\nnew"


def test_latex_escapes() -> None:
    assert latex.escape("50% & a_b #1 {x} $y$ ~ ^ \\z < > ± Δ —") == (
        r"50\% \& a\_b \#1 \{x\} \$y\$ \textasciitilde{} \textasciicircum{} \textbackslash{}z "
        r"\textless{} \textgreater{} $\pm$ $\Delta$ ---"
    )
    assert "\n" not in latex.escape(HOSTILE)


def test_markdown_escapes() -> None:
    escaped = markdown.escape(HOSTILE)
    assert r"\|" in escaped
    assert r"a\_b" in escaped
    assert r"\*b\*" in escaped
    assert "<" not in escaped
    assert "\n" not in escaped


def test_hostile_labels_and_notes_do_not_break_any_format(tmp_path: Path) -> None:
    row = Row("none", HOSTILE, ("encoding=none",))
    records = {("none", "controlled", ()): [record()]}
    described = spec(rows=(row,), title=HOSTILE)
    table = aggregate(described, (row,), described.columns, ["controlled"], 1, records, {})
    grid = make_grid(table, [HOSTILE + "\r\n\\input{x}"])
    html = render_html(grid)
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 4, "title twice, label and note"
    body = [line for line in markdown.render_markdown(grid).splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in body}) == 1
    for line in latex.render_latex(grid).splitlines():
        assert "\\input" not in line or line.startswith("%"), "a note cannot end its comment"
    parsed = list(csv.DictReader(io.StringIO(render_csv(table))))
    assert parsed[0]["label"] == HOSTILE


def test_csv_holds_unrounded_numbers_and_empty_fields() -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(results({"none": [1 / 3, 2 / 3]})))))
    assert len(rows) == 9, "a line a row and column"
    assert float(rows[0]["mean"]) == 0.5
    assert float(rows[0]["std"]) == pytest.approx(math.sqrt(2) / 6, rel=1e-15)
    assert (rows[0]["seeds"], rows[0]["seeds_wanted"], rows[0]["identities"]) == ("2", "3", "0123abcd")
    assert (rows[3]["mean"], rows[3]["paper"], rows[3]["identities"]) == ("", "", "")


def test_significance_in_every_format() -> None:
    values = {"none": [10.0, 11.0, 12.0], "rope": [8.0, 9.5, 9.8], "lrpe": [9.0, 10.0, 11.0]}
    grid = grid_of(values)
    assert grid.headers[:4] == ("Encoding", "Test ppl", "Δ none", "p")
    assert [cells[2].plain for _, cells in grid.rows] == ["—", "0.012", "—"], "lrpe: 1 less at every seed"
    assert "| -1.90 | 0.012 |" in markdown.render_markdown(grid)
    assert r"$-1.90$ & 0.012 &" in latex.render_latex(grid)
    assert "<td>0.012</td>" in render_html(grid)
    rows = list(csv.DictReader(io.StringIO(render_csv(results(values)))))
    found = [row["p_value"] for row in rows if row["metric"] == "metrics.test_perplexity"]
    # the differences -2, -1.5, -2.2 have mean -1.9 and variance 0.13; two degrees of freedom have a closed form
    t = 1.9 * math.sqrt(3) / math.sqrt(0.13)
    assert (found[0], found[2]) == ("", "")
    assert float(found[1]) == pytest.approx(1 - t / math.sqrt(t**2 + 2), rel=1e-9), "Student's t of the differences"


def test_a_tiny_p_value_does_not_break_a_format() -> None:
    grid = grid_of({"none": [10.0, 11.0, 12.0], "rope": [5.0, 6.0, 7.0001]})
    assert grid.rows[1][1][2].value == "<0.001"
    assert "| &lt;0.001 |" in markdown.render_markdown(grid)
    assert "$<0.001$" in latex.render_latex(grid)
    assert "<td>&lt;0.001</td>" in render_html(grid)


def test_the_papers_spread_stands_beside_its_figure() -> None:
    grid = grid_of({"none": [10.0]}, {("none", "test_perplexity"): Figure(9.5, 0.25)})
    assert [text.plain for text in grid.rows[0][1][1:3]] == ["9.50 ± 0.25", "+0.50"]
