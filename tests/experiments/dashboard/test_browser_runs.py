"""The table of runs in a real browser: what a reader clicks, types and sees."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.experiments.dashboard.conftest import Write, rows_of
from tests.experiments.dashboard.pages import Open, choose, column, write


def test_every_run_is_listed_with_its_status_and_its_record(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file)
    assert page.inner_text("#count") == "7 runs"
    listed = dict(
        zip(zip(column(page, "Encoding"), column(page, "Seed"), strict=True), column(page, "Status"), strict=True)
    )
    assert listed["rope", "1"] == "✓ finished"
    assert listed["lrpe_unitary", "1"] == "✕ failed"
    assert listed["lrpe_unitary", "2"] == "▸ running"
    numbers = dict(zip(column(page, "Status"), column(page, "Test perplexity"), strict=True))
    assert (numbers["✕ failed"], numbers["▸ running"]) == ("–", "–"), "no number without a finished record"
    for link in page.locator(".runs tbody a").all():
        href = link.get_attribute("href")
        assert (page_file.parent / href).exists(), href


def test_what_may_be_dead_or_cannot_be_read_says_so(open_page: Open, write_run: Write, results: Path) -> None:
    silent = write_run("rope", 1, status=None, rows=rows_of([5.0]))
    an_hour_ago = time.time() - 3_700
    os.utime(silent.history_path, (an_hour_ago, an_hour_ago))
    write_run("rope", 2, metrics={"test_perplexity": 5.0}).record_path.write_text("{")
    page = open_page(write(results), state="sort=seed&descending=false")
    assert column(page, "Status") == ["▸ running, no row for 1 h", "? unreadable"]
    page.click(".runs tbody tr:has-text('unreadable') button")
    assert "not a readable record" in page.inner_text("dialog")


def test_a_thinned_history_is_said_to_be_one(open_page: Open, write_run: Write, results: Path) -> None:
    write_run("rope", 1).history_path.write_text("".join(f"{json.dumps(row)}\n" for row in rows_of([5.0] * 1_000)))
    page = open_page(write(results), state="view=curves")
    assert "Long histories are thinned" in page.inner_text("#curves > .hint")
    page.click("#tab-runs")
    page.click(".runs tbody button")
    assert "240 of 1,000 rows" in page.inner_text("dialog")


def test_filters_and_free_text_narrow_the_table(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file)
    choose(page, "encoding", "rope")
    assert column(page, "Encoding") == ["rope"] * 3
    assert page.inner_text("#count") == "3 of 7 runs"
    choose(page, "seed", "2")
    assert column(page, "Seed") == ["2"]
    page.click("text=Clear filters")
    assert page.inner_text("#count") == "7 runs"
    page.fill("#search", "nan")
    assert column(page, "Status") == ["✕ failed"]
    page.fill("#search", "absolute=sinusoidal")
    assert column(page, "Encoding") == ["none"]
    page.fill("#search", "nowhere")
    assert "No run passes the filters" in page.inner_text(".runs tbody")


def test_a_facet_counts_what_the_other_filters_leave(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file)
    choose(page, "protocol", "published")
    counts = page.eval_on_selector_all("[data-facet=encoding] label", "all => all.map(one => one.textContent)")
    assert counts == ["lrpe_unitary0", "none1", "rope0"]


def test_a_click_on_a_head_sorts_and_says_so(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file)
    head = page.locator("th[data-column='metrics.test_perplexity']")
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    values = column(page, "Test perplexity")
    assert values == ["4", "4.5000", "5", "7", "7", "–", "–"], "what has no number comes last"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, "Test perplexity") == ["7", "7", "5", "4.5000", "4", "–", "–"]
    assert page.evaluate("document.activeElement.textContent") == "Test perplexity", "the focus stays"


def test_columns_can_be_chosen_also_config_keys_that_differ(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file)
    page.click("#columns > summary")
    page.click("#columns >> text=protocol.absolute")
    page.click("#columns >> text='Updates'")
    page.keyboard.press("Escape")
    heads = page.locator(".runs thead th").all_inner_texts()
    assert "Protocol.absolute" in heads
    assert "Updates" not in heads
    assert sorted(column(page, "Protocol.absolute"))[:2] == ["none", "sinusoidal"]


def test_the_address_keeps_what_was_chosen(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file)
    choose(page, "encoding", "none")
    page.click("th[data-column=seed] button")
    page.click("#tab-metrics")
    again = open_page(page_file, state=page.url.partition("#")[2])
    assert again.get_attribute("#tab-metrics", "aria-selected") == "true"
    assert again.inner_text("#count") == "2 of 7 runs"
    again.click("#tab-runs")
    assert again.get_attribute("th[data-column=seed]", "aria-sort") == "ascending"


def test_details_show_the_whole_record_and_give_the_focus_back(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file)
    page.fill("#search", "failed")
    page.click(".runs tbody button")
    details = page.inner_text("dialog")
    assert "RuntimeError: loss is nan" in details
    assert "runs/alm/lrpe_unitary-0123abcd/seed1" in details
    page.keyboard.press("Escape")
    assert not page.is_visible("dialog")
    assert page.evaluate("document.activeElement.textContent") == "lrpe_unitary"


def test_an_address_of_single_runs_shows_these(open_page: Open, page_file: Path) -> None:
    runs = [f"runs/alm/rope-0123abcd/seed{seed}" for seed in (1, 3)]
    page = open_page(page_file, state=urlencode([("is.path", run) for run in runs]))
    assert page.inner_text("#count") == "2 of 7 runs"
    assert sorted(column(page, "Seed")) == ["1", "3"]
    page.click("text=Clear filters")
    assert page.inner_text("#count") == "7 runs"


@pytest.mark.parametrize("state", ["view=nonsense", "tab=metrics", "view=", "nonsense", "view=runs&view=nonsense"])
def test_an_address_with_an_unknown_view_shows_the_runs(open_page: Open, page_file: Path, state: str) -> None:
    page = open_page(page_file, state=state)
    assert page.get_attribute("#tab-runs", "aria-selected") == "true"
    assert page.is_visible("table.runs")
    page.click("#tab-metrics")
    assert page.is_visible(".bars")
