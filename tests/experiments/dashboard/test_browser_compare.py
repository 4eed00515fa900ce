"""Metrics and config differences in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.experiments.dashboard.pages import Open


def test_bars_show_mean_and_standard_deviation_of_finished_runs(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file, state="view=metrics")
    rows = [re.split(r"\s*\t\s*", row.inner_text()) for row in page.locator(".bars tbody tr").all()]
    assert [[row[0], *row[1:3]] for row in rows] == [
        ["none, controlled", "7", "1"],
        ["none, published", "7", "1"],
        ["rope", f"{4.5:.4f} ± {0.5:.4f}", "3"],
    ]
    rope = page.locator(".bars tbody tr", has_text="rope")
    track, whisker = (rope.locator(part).bounding_box() for part in (".bar", ".whisker"))
    assert whisker["width"] / track["width"] == pytest.approx(1.0 / 7.0, abs=0.01), "2 std on an axis from 0 to 7"
    assert rope.locator(".dot").count() == 3
    assert "2 of the runs shown are not finished" in page.inner_text("#metrics .hint")
    page.select_option("label:has-text('Metric') select", "*")
    assert page.locator(".bars").count() == 2


def test_a_bar_leads_to_its_runs(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file, state="view=metrics")
    page.click(".bars >> text=rope")
    assert page.get_attribute("#tab-runs", "aria-selected") == "true"
    assert page.locator(".runs tr.selected").count() == 3
    page.click("#unselect")
    assert page.locator(".runs tr.selected").count() == 0


def test_two_selected_runs_are_compared(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file, state="is.encoding=none&sort=protocol&descending=false")
    assert page.is_disabled("#compare")
    for box in page.locator(".runs tbody input").all():
        box.check()
    page.click("#compare")
    assert page.inner_text("#difference [role=status]") == "2 settings differ."
    differing = [row.inner_text().split("\t") for row in page.locator(".difference").first.locator("tbody tr").all()]
    assert [[text.strip() for text in row] for row in differing] == [
        ["protocol.absolute", "none", "sinusoidal"],
        ["protocol.name", "controlled", "published"],
    ]
    page.check("text=equal settings too")
    assert page.locator("[data-key=seed]").count() == 1


def test_seeds_of_one_config_are_said_to_be_the_same(open_page: Open, page_file: Path) -> None:
    folder = "runs/alm/rope-0123abcd"
    page = open_page(page_file, state=f"view=difference&first={folder}/seed1&second={folder}/seed2")
    assert "same scientific config" in page.inner_text("#difference [role=status]")
    change = page.locator("[data-key='test perplexity'] td").last.inner_text()
    assert change == "+1"
