"""A thousand runs are one small file that a browser shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Open = Callable[..., Any]


def test_the_file_is_small(thousand: Path) -> None:
    histories = sum(path.stat().st_size for path in thousand.parent.glob("runs/*/*/*/history.jsonl"))
    assert histories > 40 * 2**20
    assert thousand.stat().st_size < 5 * 2**20


def test_a_thousand_runs_are_shown_filtered_and_drawn(open_page: Open, thousand: Path) -> None:
    page = open_page(thousand)
    assert page.inner_text("#count") == "1,000 runs"
    assert page.locator(".runs tbody tr").count() == 200
    page.click("text=Show all 1,000")
    assert page.locator(".runs tbody tr").count() == 1_000
    page.click("[data-facet=experiment] > summary")
    page.check("[data-facet=experiment] label:has-text('imagenet') input")
    page.keyboard.press("Escape")
    page.fill("#search", "learning_rate=0.0005 controlled")
    assert page.inner_text("#count") == "60 of 1,000 runs"
    page.click("#tab-curves")
    assert page.locator(".legend li").count() == 12
    assert "valid accuracy" in page.inner_text(".side .hint")
    page.click("#tab-metrics")
    assert page.locator(".bars tbody tr").count() == 12


def test_a_thousand_single_lines_are_drawn(open_page: Open, thousand: Path) -> None:
    page = open_page(thousand, state="view=curves&grouping=run&quantity=train.loss&axis=wall_seconds")
    assert page.locator(".legend li").count() == 1_000
    page.focus(".stage")
    page.keyboard.press("End")
    assert "train loss, at" in page.inner_text(".side .hint")
