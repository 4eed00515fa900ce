"""The page in a real browser: what a reader clicks, types and sees."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.dashboard.__main__ import write_dashboard
from tests.experiments.dashboard.conftest import Write, rows_of

Open = Callable[..., Any]
ROPE = {1: [9.0, 6.0, 4.0], 2: [11.0, 7.0, 5.0], 3: [10.0, 8.0, 4.5]}


@pytest.fixture
def page_file(write_run: Write, results: Path) -> Path:
    """Seven runs: three seeds of RoPE, two of NoPE under two protocols, one failed, one running."""
    for seed, values in ROPE.items():
        write_run("rope", seed, rows=rows_of(values), metrics={"test_perplexity": values[-1], "test_loss": 1.5})
    for protocol, identity, absolute in (("controlled", "aaaaaaaa", "none"), ("published", "bbbbbbbb", "sinusoidal")):
        config = f"seed: 1\nprotocol: {{name: {protocol}, absolute: {absolute}}}\n"
        write_run(
            "none", 1, identity=identity, protocol=protocol, config=config, rows=rows_of([12.0, 9.0, 7.0]),
            metrics={"test_perplexity": 7.0},
        )  # fmt: skip
    write_run("lrpe_unitary", 1, status="failed", error="RuntimeError: loss is nan", rows=rows_of([20.0]))
    write_run("lrpe_unitary", 2, status=None, rows=rows_of([20.0, 15.0]))
    return write(results)


def write(results: Path) -> Path:
    out = results / "dashboard.html"
    write_dashboard(results, out)
    return out


def column(page: Any, name: str) -> list[str]:
    """The texts of a column of the table of runs."""
    heads = [text.strip() for text in page.locator(".runs thead th").all_inner_texts()]
    return [
        row.locator("td, th").nth(heads.index(name)).inner_text().strip()
        for row in page.locator(".runs tbody tr").all()
    ]


def choose(page: Any, facet: str, value: str) -> None:
    page.click(f"[data-facet={facet}] > summary")
    page.get_by_role("checkbox", name=re.compile(f"^{value}\\b")).click()
    page.keyboard.press("Escape")


# --- runs ----------------------------------------------------------------------------------------------------------


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


# --- curves --------------------------------------------------------------------------------------------------------


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


# --- metrics and differences -----------------------------------------------------------------------------------------


def test_bars_show_mean_and_standard_deviation_of_finished_runs(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file, state="view=metrics")
    rows = [re.split(r"\s*\t\s*", row.inner_text()) for row in page.locator(".bars tbody tr").all()]
    assert [[row[0], *row[-2:]] for row in rows] == [
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


# --- safety, access ------------------------------------------------------------------------------------------------


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


def test_encodings_differ_without_colour(open_page: Open, page_file: Path) -> None:
    page = open_page(page_file, state="view=curves")
    looks = page.eval_on_selector_all(
        ".legend .swatch",
        """all => all.map(one => one.children)
           .map(([line, marker]) => `${line.getAttribute("stroke-dasharray")} ${marker.getAttribute("d")}`)""",
    )
    assert len(set(looks)) == 4
