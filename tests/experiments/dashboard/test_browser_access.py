"""Hostile texts do nothing; keyboard, phone, dark mode and eyes without color reach everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.dashboard.conftest import Write, rows_of
from tests.experiments.dashboard.pages import Open, write


def test_hostile_texts_stay_texts(open_page: Open, write_run: Write, results: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)><svg onload=alert(2)>"
    config = f"encoding: {{label: {json.dumps(hostile)}}}\n{json.dumps(hostile)}: {json.dumps(hostile)}\n"
    for seed in (1, 2):
        write_run(
            "rope", seed, status="failed" if seed == 1 else "finished", error=hostile, name=hostile,
            protocol=hostile, profile=f"javascript:alert({seed})", data=hostile, config=config,
            metrics={hostile: 1.0}, rows=[{**rows_of([1.0])[0], "split": hostile, hostile: 2.0}],
        )  # fmt: skip
    page = open_page(write(results))
    page.click("[data-facet=profile] > summary")
    page.click(".runs tbody button >> nth=0")
    assert hostile in page.inner_text("dialog")
    page.keyboard.press("Escape")
    for box in page.locator(".runs tbody input").all():
        box.check()
    page.click("#compare")
    for view in ("curves", "metrics", "difference", "runs"):
        page.click(f"#tab-{view}")
    assert page.locator("img, svg[onload], [onerror]").count() == 0
    assert page.locator("a[href^='javascript']").count() == 0


def test_everything_works_from_the_keyboard(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file)
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("e = document.activeElement, e.id || e.textContent.slice(0, 12) || e.type"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or reached[-1] == "", reached[-1]
    order = [reached.index(name) for name in ("theme", "search", "Encoding", "tab-runs", "Columns", "Updates")]
    assert order == sorted(order)
    assert "tab-curves" not in reached, "of the tabs one is in the order; arrows reach the others"
    page.focus("#tab-runs")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#tab-curves", "aria-selected") == "true"
    assert page.evaluate("document.activeElement.id") == "tab-curves"


def test_every_control_has_a_name(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file)
    for view in ("runs", "curves", "metrics", "difference"):
        page.click(f"#tab-{view}")
        nameless = page.evaluate(
            """[...document.querySelectorAll("button, input, select, a, summary")]
               .filter(e => e.checkVisibility())
               .filter(e => ![e.ariaLabel, e.textContent, e.labels?.[0]?.textContent].some(text => text?.trim()))
               .map(e => e.outerHTML)"""
        )
        assert nameless == []


@pytest.mark.parametrize("view", ["runs", "curves", "metrics", "difference"])
def test_a_phone_needs_no_sideways_scrolling_of_the_page(open_page: Open, page_file: Path, view: str) -> None:
    folder = "runs/alm/none-"
    state = f"view={view}&first={folder}aaaaaaaa/seed1&second={folder}bbbbbbbb/seed1"
    page = open_page(page_file, width=360, height=740, state=state)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_dark_by_system_and_by_choice(open_page: Open, page_file: Path) -> None:
    def background(page: Any) -> str:
        return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    light, dark = (open_page(page_file, scheme=scheme) for scheme in ("light", "dark"))
    assert background(light) == "rgb(255, 255, 255)"
    assert background(dark) == "rgb(20, 23, 26)"
    dark.click("#theme")
    assert background(dark) == "rgb(255, 255, 255)"
    dark.click("#theme")
    light.click("#theme")
    light.click("#theme")
    assert background(light) == background(dark) == "rgb(20, 23, 26)"


def test_encodings_differ_without_color(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file, state="view=curves")
    looks = page.eval_on_selector_all(
        ".legend .swatch",
        """all => all.map(one => one.children)
           .map(([line, marker]) => `${line.getAttribute("stroke-dasharray")} ${marker.getAttribute("d")}`)""",
    )
    assert len(set(looks)) == 4
