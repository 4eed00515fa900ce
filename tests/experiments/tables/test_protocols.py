"""Two protocols side by side: which differences come from the encoding, and which from the published set-up."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from experiments.tables import latex, markdown
from experiments.tables.aggregate import Results, aggregate
from experiments.tables.grid import make_grid
from experiments.tables.html import render_html
from experiments.tables.provenance import footer
from experiments.tables.request import parse_request
from experiments.tables.sheet import Grid
from tests.experiments.tables.support import ROWS, record, spec
from tests.experiments.tables.workshop import Workshop

PROTOCOLS = ("published", "controlled")


def results(published: Mapping[str, float], controlled: Mapping[str, float]) -> Results:
    records = {
        (key, protocol, ()): [record(1, value)]
        for protocol, values in zip(PROTOCOLS, (published, controlled), strict=True)
        for key, value in values.items()
    }
    return aggregate(spec(), ROWS, spec().columns, PROTOCOLS, 1, records, {})


def changes(table: Results) -> list[str]:
    """The last column as a reader sees it."""
    grid: Grid = make_grid(table, [])
    assert grid.headers[-1] == "Rank Test ppl"
    return [cells[-1].plain for _, cells in grid.rows]


def test_change_in_rank_is_controlled_minus_published() -> None:
    table = results({"none": 30.0, "rope": 20.0, "lrpe": 10.0}, {"none": 5.0, "rope": 7.0, "lrpe": 6.0})
    assert changes(table) == ["3 → 1 (-2)", "2 → 3 (+1)", "1 → 2 (+1)"]


def test_ties_share_a_rank() -> None:
    table = results({"none": 10.0, "rope": 10.0, "lrpe": 20.0}, {"none": 10.0, "rope": 11.0, "lrpe": 11.0})
    assert changes(table) == ["1 → 1 (0)", "1 → 2 (+1)", "3 → 2 (-1)"]


def test_only_rows_that_both_protocols_have_take_places() -> None:
    table = results({"none": 30.0, "rope": 20.0, "lrpe": 10.0}, {"none": 5.0, "rope": 7.0})
    assert changes(table) == ["2 → 1 (-1)", "1 → 2 (+1)", "—"]


def test_every_format_has_the_change_in_rank_and_the_footer_explains_it() -> None:
    table = results({"none": 30.0, "rope": 20.0}, {"none": 5.0, "rope": 7.0})
    grid = make_grid(table, footer(table, "demo", []))
    assert "2 → 1 (-1)" in markdown.render_markdown(grid)
    assert r"2 $\rightarrow$ 1 (-1)" in latex.render_latex(grid)
    assert "2 → 1 (-1)" in render_html(grid)
    assert any(note.startswith("rank: place under published → under controlled") for note in grid.footer)


def test_one_protocol_has_no_ranks() -> None:
    table = aggregate(spec(), ROWS, spec().columns, ["controlled"], 1, {("rope", "controlled", ()): [record()]}, {})
    assert not any(header.startswith("Rank") for header in make_grid(table, []).headers)


def test_both_means_published_first_in_any_order() -> None:
    asked = [parse_request(["table=alm", f"protocol={word}"]) for word in ("both", "controlled,published")]
    assert [request.protocols for request in asked] == [PROTOCOLS, PROTOCOLS]


def test_both_protocols_through_the_command(workshop: Workshop) -> None:
    workshop.better_when_controlled = {"none"}
    assert workshop.table("rows=none,rope", "protocol=both") == 0
    assert len(workshop.trained) == 4
    text = workshop.file("md", "alm-demo-published-controlled")
    assert "Test ppl (published)" in text
    assert "Test ppl (controlled)" in text
    assert "1 → 2 (+1)" in text, "RoPE was level with NoPE, which the controlled protocol made better"
    rows = list(csv.DictReader(io.StringIO(workshop.file("csv", "alm-demo-published-controlled"))))
    assert {row["protocol"]: row["identities"] for row in rows} == {"published": "publ0000", "controlled": "cont0000"}
    ranks = [(row["rank"], row["rank_change"]) for row in rows if row["metric"] == "metrics.test_perplexity"]
    assert ranks == [("1", "0"), ("1", "0"), ("1", "1"), ("2", "1")]
