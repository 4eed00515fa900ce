"""Intervals and tests in the page say what the tables say, since both compute them."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.tables import comparison
from tests.experiments.dashboard.conftest import Write
from tests.experiments.dashboard.pages import Open, write


def as_json(values: dict[int, float]) -> dict[str, float]:
    return {str(seed): value for seed, value in values.items()}


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 8, 13, 40])
def test_the_page_and_the_tables_agree(call: Any, seeds: int) -> None:
    draws = np.random.default_rng(seeds)
    baseline = {seed: float(value) for seed, value in enumerate(draws.normal(100, 5, seeds))}
    rows = [{seed: value + float(draws.normal(1, 1)) for seed, value in baseline.items()} for _ in range(6)]
    expected = comparison.compare_rows([baseline, *rows], 0)[1:]
    found = [call("inference.compareSeeds", as_json(row), as_json(baseline)) for row in rows]
    for one, ours in zip(expected, found, strict=True):
        assert (ours["seeds"], ours["difference"]) == (one.seeds, pytest.approx(one.difference))
        assert ours["interval"] == (None if one.interval is None else pytest.approx(list(one.interval), rel=1e-9))
        assert ours["pValue"] == (None if one.p_value is None else pytest.approx(one.p_value, rel=1e-6, abs=1e-12))
    if seeds > 2:
        corrected = call("inference.holm", [ours["pValue"] for ours in found])
        assert corrected == pytest.approx([one.holm for one in expected], rel=1e-6)
    interval = call("inference.meanInterval", list(baseline.values()))
    assert interval == (None if seeds < 3 else pytest.approx(comparison.mean_interval(list(baseline.values()))))


def test_without_a_spread_or_a_shared_seed_the_page_says_nothing_either(call: Any) -> None:
    baseline = {1: 50.0, 2: 60.0, 3: 55.0}
    for row in ({seed: value + 0.1 for seed, value in baseline.items()}, {7: 1.0}):
        _, expected = comparison.compare_rows([baseline, row], 0)
        found = call("inference.compareSeeds", as_json(row), as_json(baseline))
        assert (found is None) == (expected is None)
        if found:
            assert (found["interval"], found["pValue"]) == (expected.interval, expected.p_value) == (None, None)


def test_the_page_has_the_tables_constants(call: Any) -> None:
    for name in ("CONFIDENCE", "ALPHA", "MIN_SEEDS"):
        assert call(f"inference.{name}.valueOf") == getattr(comparison, name)


PERPLEXITY = {"none": [10.0, 11.0, 12.0], "rope": [8.0, 9.5, 9.8], "spe": [10.5, 11.1, 12.9]}


@pytest.fixture
def three_seeds(write_run: Write, results: Path) -> Path:
    for encoding, values in PERPLEXITY.items():
        for seed, value in enumerate(values, start=1):
            write_run(encoding, seed, metrics={"test_perplexity": value})
    write_run("rope", 1, protocol="published", identity="bbbbbbbb", metrics={"test_perplexity": 7.0})
    return write(results)


def cells(page: Any, label: str) -> dict[str, str]:
    row = page.locator(".bars tbody tr", has=page.get_by_role("button", name=label, exact=True))
    return {cell.get_attribute("data-column"): cell.inner_text() for cell in row.locator("td.number").all()}


def test_metrics_have_intervals_and_corrected_p_values(open_page: Open, three_seeds: Path) -> None:
    page = open_page(three_seeds, state="view=metrics")
    seeds = {name: dict(enumerate(values)) for name, values in PERPLEXITY.items()}
    _, rope, spe = comparison.compare_rows([seeds["none"], seeds["rope"], seeds["spe"]], 0)
    found = cells(page, "rope, controlled")
    assert found["Δ none"] == "−1.9000"
    assert [float(end.replace("−", "-")) for end in re.findall(r"[−\d.]+", found["Δ, 95% interval"])] == pytest.approx(
        rope.interval, abs=1e-3
    )
    assert (found["p"], found["p (Holm)"]) == (f"{rope.p_value:.3f}", f"{rope.holm:.3f}")
    assert cells(page, "spe")["p (Holm)"] == f"{spe.holm:.3f}"
    assert rope.holm == pytest.approx(2 * rope.p_value)
    assert cells(page, "none")["p"] == "–"
    half = 4.302652729696142 / math.sqrt(3)
    assert cells(page, "none")["95% interval"] == f"[{11 - half:.4f}, {11 + half:.3f}]"
    other = cells(page, "rope, published")
    assert (other["Δ none"], other["p"], other["95% interval"]) == ("–", "–", "–"), "another setting, one seed"


def test_the_reader_chooses_the_baseline(open_page: Open, three_seeds: Path) -> None:
    page = open_page(three_seeds, state="view=metrics")
    page.select_option("label:has-text('Baseline') select", "rope")
    assert cells(page, "none")["Δ rope"] == "+1.9000"
    again = open_page(three_seeds, state=page.url.partition("#")[2])
    assert cells(again, "none")["Δ rope"] == "+1.9000"
    again.select_option("label:has-text('Baseline') select", "")
    assert "p" not in cells(again, "none")
