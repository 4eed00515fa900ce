"""Published figures in the page: beside runs of what they were printed for, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.dashboard import references
from experiments.dashboard.references import published_figures
from experiments.tables.reference import Figure, Reference
from tests.experiments.dashboard.conftest import Write, rows_of
from tests.experiments.dashboard.pages import Open, write

ANCHOR = "protocol: {name: published}\nrecipe: {name: alm_tnn}\ndata: {name: wikitext103_bpe}\nprofile: {name: paper}\n"


def test_sibling_figures_belong_to_runs_of_their_recipe_data_and_protocol() -> None:
    found = [one for one in published_figures() if one["label"].startswith("Transformer")]
    assert {one["metric"]: one["mean"] for one in found} == {"valid_perplexity": 24.40, "test_perplexity": 24.78}
    for one in found:
        assert one["experiment"] == "alm"
        assert "arXiv 2405.17381" in one["source"]
        assert one["settings"] == {
            "recipe.name": "alm_tnn",
            "data.name": "wikitext103_bpe",
            "protocol.name": "published",
        }


def test_the_papers_figures_are_in_the_records_unit_and_belong_to_its_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = Reference("paper, table 1", {("rope", "cola"): Figure(45.5, 0.5), ("none", "average"): Figure(70.0)})
    monkeypatch.setattr(references, "load_reference", lambda spec: printed if spec.name == "glue" else Reference())
    (cola,) = [one for one in published_figures() if one["experiment"] == "glue"]
    assert (cola["metric"], cola["label"]) == ("valid_score", "RoPE")
    assert (cola["mean"], cola["std"]) == (pytest.approx(0.455), pytest.approx(0.005)), "printed in percent"
    assert cola["settings"] == {"profile.name": "paper", "task.name": "cola"}


@pytest.fixture
def anchors(write_run: Write, results: Path) -> Path:
    metrics = {"valid_perplexity": 27.0, "test_perplexity": 28.0}
    for seed in (1, 2):
        write_run("absolute", seed, config=ANCHOR, rows=rows_of([60.0, 30.0, 27.0]), metrics=metrics, profile="paper")
    write_run("rope", 1, identity="cccccccc", rows=rows_of([12.0, 9.0]), metrics={"test_perplexity": 9.0})
    return write(results)


def legend(page: Any) -> list[str]:
    return page.locator(".legend .reference .name").all_inner_texts()


def test_curves_have_level_lines_at_published_figures(open_page: Open, anchors: Path) -> None:
    page = open_page(anchors, state="view=curves")
    assert "Transformer (softmax), absolute (printed)" in legend(page)
    assert len(legend(page)) == 4
    line = page.locator(".legend .reference", has_text="Transformer")
    assert line.locator(".value").inner_text() == "24.400"
    assert "table 1, page 6" in line.get_attribute("title")
    drawn = page.locator("canvas").screenshot()
    page.uncheck("text=published figures")
    assert legend(page) == []
    page.mouse.move(0, 0)
    assert page.locator("canvas").screenshot() != drawn
    again = open_page(anchors, state=page.url.partition("#")[2])
    assert legend(again) == [], "the address keeps it"


def test_bars_have_lines_and_rows_of_published_figures(open_page: Open, anchors: Path) -> None:
    page = open_page(anchors, state="view=metrics")
    assert page.is_visible("#metrics >> text=published figures")
    rows = page.locator("[data-metric=test_perplexity] tfoot tr")
    assert rows.count() == 4
    assert rows.first.locator("td.number").inner_text() == "28.050"
    assert page.locator("[data-metric=test_perplexity] tbody tr").first.locator(".reference").count() == 4


@pytest.mark.parametrize("view", ["curves", "metrics"])
def test_beside_other_runs_no_figure_stands(open_page: Open, anchors: Path, view: str) -> None:
    page = open_page(anchors, state=f"view={view}&is.encoding=rope")
    assert page.locator(".reference").count() == 0
    assert not page.is_visible(f"#{view} >> text=published figures")
