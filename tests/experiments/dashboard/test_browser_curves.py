"""Learning curves in a real browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.experiments.dashboard.pages import ROPE, Open


def test_seeds_of_one_config_are_one_line_with_a_band(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file, state="view=curves")
    assert page.locator("canvas").count() == 1
    labels = page.locator(".legend .name").all_inner_texts()
    assert labels == ["lrpe_unitary", "none, controlled", "none, published", "rope"]
    rope = page.locator(".legend button", has_text="rope")
    mean = np.mean([values[-1] for values in ROPE.values()])
    assert rope.locator(".value").inner_text() == f"{mean:.4f}"
    assert rope.locator(".edges").inner_text() == "[4, 5]"
    page.select_option("label:has-text('Band') select", "std")
    std = np.std([4.0, 5.0, 4.5], ddof=1)
    assert rope.locator(".edges").inner_text() == f"[{mean - std:.0f}, {mean + std:.0f}]"
    page.select_option("label:has-text('Lines') select", "run")
    assert page.locator(".legend .name").all_inner_texts()[-3:] == ["rope, seed 1", "rope, seed 2", "rope, seed 3"]


def test_the_cursor_reads_values_by_mouse_and_by_key(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file, state="view=curves&is.encoding=rope")
    assert "last values" in page.inner_text(".side .hint")
    box = page.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    assert "at update 100" in page.inner_text(".side .hint")
    assert page.inner_text(".legend .value") == "10"
    assert "rope" in page.inner_text(".tip")
    page.mouse.move(0, 0)
    page.focus(".stage")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert "at update 200" in page.inner_text(".side .hint")
    assert page.inner_text(".legend .value") == "7"


def test_axes_scales_and_smoothing(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file, state="view=curves&is.encoding=rope&is.seed=1")
    page.select_option("label:has-text('Against') select", "wall_seconds")
    page.check("text=log y")
    page.check("text=log x")
    page.focus(".stage")
    page.keyboard.press("End")
    assert "at 0:06" in page.inner_text(".side .hint")
    page.evaluate(
        "field => { field.value = 0.5; field.dispatchEvent(new Event('input')) }", page.query_selector("#smoothing")
    )
    smooth = (9 * 0.25 + 6 * 0.5 + 4) / 1.75
    assert page.inner_text(".legend .value") == f"{smooth:.4f}"


def test_a_line_can_be_switched_off_and_on(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file, state="view=curves")
    rope = page.locator(".legend button", has_text="rope")
    rope.click()
    assert rope.get_attribute("aria-pressed") == "false"
    assert rope.locator(".value").inner_text() == ""
    assert page.evaluate("document.activeElement.textContent").startswith("rope")
    rope.press("Enter")
    assert rope.get_attribute("aria-pressed") == "true"


def test_a_drag_zooms_and_the_whole_range_comes_back(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file, state="view=curves&is.encoding=rope")
    whole = page.locator("canvas").screenshot()
    box = page.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60, steps=4)
    page.mouse.up()
    page.mouse.move(0, 0)
    assert page.locator("canvas").screenshot() != whole
    page.click("text=Whole range")
    page.mouse.move(0, 0)
    assert page.locator("canvas").screenshot() == whole
