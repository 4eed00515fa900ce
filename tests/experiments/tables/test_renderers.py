"""The same numbers as text, Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

import csv
import io
import math
import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from rich.console import Console

from experiments.tables import latex, markdown
from experiments.tables.aggregate import aggregate
from experiments.tables.comma_separated import render_csv
from experiments.tables.grid import make_grid
from experiments.tables.html import render_html
from experiments.tables.provenance import footer
from experiments.tables.reference import Figure
from experiments.tables.sheet import Grid
from experiments.tables.spec import Row
from experiments.tables.terminal import print_grid
from tests.experiments.tables.support import grid_of, record, results, spec


def test_cells_as_text() -> None:
    grid = grid_of({"none": [9.0, 10.0, 11.0], "rope": [10.5]}, {("none", "test_perplexity"): Figure(10.004)})
    assert grid.headers == ("Encoding", "Test ppl", "Δ none", "paper", "Δ paper", "Tokens/s", "Parameters (M)")
    texts = [[text.plain for text in cells] for _, cells in grid.rows]
    assert texts[0] == ["10.00 ± 1.00", "—", "10.00", "0.00", "100 ± 0", "2.5"], "parameters have no spread"
    assert texts[1] == ["10.50 (1/3)", "+0.50", "—", "—", "100 (1/3)", "2.5 (1/3)"]
    assert texts[2] == ["—"] * 6


@pytest.mark.parametrize("width", [30, 200])
def test_a_terminal_of_any_width_shows_a_row_a_line_and_cuts_nothing(width: int) -> None:
    out = io.StringIO()
    grid = grid_of({"none": [9.0, 10.0, 11.0], "rope": [10.5]}, {("none", "test_perplexity"): Figure(10.004)})
    print_grid(grid, Console(file=out, width=width, soft_wrap=True))
    for label in (label for label, _ in grid.rows):
        lines = [line.split() for line in out.getvalue().splitlines() if label in line]
        rows = [texts for sheet in (grid, *grid.comparisons) for one, texts in sheet.rows if one == label]
        assert lines == [" ".join([label, *(text.plain for text in texts)]).split() for texts in rows]


def test_without_reference_or_records_there_are_no_such_columns() -> None:
    assert grid_of({}).headers == ("Encoding", "Test ppl", "Tokens/s", "Parameters (M)")


def test_markdown_by_hand() -> None:
    text = markdown.render_markdown(grid_of({"none": [9.0, 10.0, 11.0], "rope": [10.5]}))
    lines = text.splitlines()
    assert lines[2] == "| Encoding | Test ppl | Δ none | Tokens/s | Parameters (M) |"
    assert lines[3] == "| --- | ---: | ---: | ---: | ---: |"
    assert lines[4] == "| Label none | **10.00** ± 1.00 | — | **100** ± 0 | 2.5 |"
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


VALUES = {"none": [10.0, 11.0, 12.0], "rope": [8.0, 9.5, 9.8], "lrpe": [9.0, 10.0, 11.0]}


def test_what_the_seeds_tell_stands_below_the_table_in_every_format() -> None:
    grid = grid_of(VALUES)
    assert grid.headers == ("Encoding", "Test ppl", "Δ none", "Tokens/s", "Parameters (M)")
    (sheet,) = grid.comparisons
    assert sheet.title == "Test ppl: what the seeds tell, against none"
    assert sheet.headers == (
        "Encoding", "Mean, 95% CI", "Δ none", "Δ, 95% CI", "p", "p (Holm)", "Seeds", "Seeds needed"
    )  # fmt: skip
    # the differences -2, -1.5, -2.2 have mean -1.9 and variance 0.13; lrpe has 1 less at every seed, so no spread
    assert [[text.plain for text in texts] for _, texts in sheet.rows] == [
        ["[8.52, 13.48]", "—", "—", "—", "—", "3", "—"],
        ["[6.70, 11.50]", "-1.90", "[-2.80, -1.00]", "0.012", "0.012", "3", "3"],
        ["[7.52, 12.48]", "-1.00", "—", "—", "—", "3", "—"],
    ]
    assert sheet.rows[1][1][4].bold, "below 0.05 after the correction"
    assert "| -1.90 | \\[-2.80, -1.00\\] | 0.012 | **0.012** |" in markdown.render_markdown(grid)
    assert r"$-1.90$ & $[-2.80, -1.00]$ & 0.012 & \textbf{0.012} &" in latex.render_latex(grid)
    assert "<td>[-2.80, -1.00]</td><td>0.012</td><td><strong>0.012</strong></td>" in render_html(grid)
    out = io.StringIO()
    print_grid(grid, Console(file=out, width=200))
    assert "-1.90   [-2.80, -1.00]" in out.getvalue()


def test_csv_has_what_the_seeds_tell() -> None:
    rows = csv.DictReader(io.StringIO(render_csv(results(VALUES))))
    none, rope, lrpe = (row for row in rows if row["metric"] == "metrics.test_perplexity")
    t = 1.9 * math.sqrt(3) / math.sqrt(0.13)
    assert float(rope["p_value"]) == pytest.approx(1 - t / math.sqrt(t**2 + 2), rel=1e-9), "two degrees of freedom"
    half = 4.30265272969614 * math.sqrt(0.13 / 3)
    assert [float(rope[name]) for name in ("paired_low", "paired_difference", "paired_high")] == pytest.approx(
        [-1.9 - half, -1.9, -1.9 + half]
    )
    assert (rope["baseline"], rope["paired_seeds"], rope["p_holm"], rope["seeds_needed"]) == (
        "none", "3", rope["p_value"], "3"
    )  # fmt: skip
    assert (none["baseline"], none["p_value"], lrpe["p_value"], lrpe["paired_low"]) == ("", "", "", "")
    assert float(none["mean_high"]) - 11 == pytest.approx(4.30265272969614 / math.sqrt(3))


def test_few_seeds_are_said_to_be_few() -> None:
    (sheet,) = grid_of({**VALUES, "lrpe": [9.0, 10.5]}).comparisons
    assert [text.plain for text in sheet.rows[2][1]] == ["—", "-0.75", "—", "—", "—", "2 (too few)", "—"]
    for values in ({"none": [10.0], "rope": [8.0]}, {"none": [10.0, 11.0], "rope": [8.0, 9.5]}):
        assert grid_of(values).comparisons == ()
        (note,) = [note for note in footer(results(values), "demo", []) if "fewer than 3 seeds" in note]
        assert "any difference may be chance" in note


def test_the_footer_says_which_test_correction_and_power() -> None:
    notes = "\n".join(footer(results(VALUES), "demo", []))
    for said in ("two-sided paired t-test against none", "Holm", "level 0.05", "power 0.8", "noncentral t"):
        assert said in notes


def test_a_tiny_p_value_and_a_huge_number_of_seeds_do_not_break_a_format() -> None:
    (sheet,) = grid_of(
        {"none": [10.0, 11.0, 12.0], "rope": [5.0, 6.0, 7.0001], "lrpe": [10.1, 10.9, 12.001]}
    ).comparisons
    assert [texts[3].value for _, texts in sheet.rows] == ["—", "<0.001", "0.996"]
    assert sheet.rows[2][1][6].value == ">1000"
    grid = Grid("T", ("E",), (), (), (), (sheet,))
    assert "| &lt;0.001 |" in markdown.render_markdown(grid)
    assert "$<0.001$" in latex.render_latex(grid)
    assert "$>1000$" in latex.render_latex(grid)
    assert "<td>&lt;0.001</td>" in render_html(grid)


def test_a_number_in_html_leads_to_the_runs_behind_it() -> None:
    html = render_html(grid_of({"none": [10.0, None, 12.0], "rope": [9.0]}))
    none, rope = re.findall(r"<tr><td>Label (?:none|rope)</td>.*", html)
    cells = [re.findall(r'<a href="\.\./dashboard\.html#([^"]*)">', cell) for cell in none.split("</td>")[1:]]
    assert [len(links) for links in cells] == [1, 0, 1, 1, 0], "an empty cell leads nowhere"
    runs = {name: [f"runs/alm/{name}-0123abcd/seed{seed}" for seed in seeds]
            for name, seeds in {"none": [1, 3], "rope": [1]}.items()}  # fmt: skip
    assert parse_qsl(unescape(cells[0][0])) == [("is.path", run) for run in runs["none"]], "the diverged one is not"
    delta = re.findall(r'#([^"]*)">-2\.00', rope)
    assert parse_qsl(unescape(delta[0])) == [("is.path", run) for run in (*runs["rope"], *runs["none"])]


def test_the_papers_spread_stands_beside_its_figure() -> None:
    grid = grid_of({"none": [10.0]}, {("none", "test_perplexity"): Figure(9.5, 0.25)})
    assert [text.plain for text in grid.rows[0][1][1:3]] == ["9.50 ± 0.25", "+0.50"]
