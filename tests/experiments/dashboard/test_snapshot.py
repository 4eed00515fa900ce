"""A snapshot holds what the store has, and is safe inside a page."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from experiments.dashboard.snapshot import link_to, make_snapshot, to_json
from experiments.dashboard.store import RunStore
from tests.experiments.dashboard.conftest import Write, rows_of


def snapshot_of(results: Path, **options: Any) -> dict[str, Any]:
    store = RunStore(results)
    store.refresh()
    return json.loads(to_json(make_snapshot(list(store.runs.values()), **options)))


def columns_of(snapshot: dict[str, Any]) -> list[np.ndarray]:
    planes = np.frombuffer(gzip.decompress(base64.b64decode(snapshot["columns"])), np.uint8)
    numbers = planes.reshape(4, -1).T.copy().view("<f4").ravel()
    return np.split(numbers, np.cumsum(snapshot["lengths"])[:-1])


def test_columns_come_back_and_seeds_share_theirs(write_run: Write, results: Path) -> None:
    write_run("rope", 1, rows=rows_of([5.0, 4.5, 4.0]))
    write_run("rope", 2, rows=rows_of([6.0, 5.5, 5.25]))
    snapshot = snapshot_of(results)
    columns = columns_of(snapshot)
    first, second = (run["curves"]["valid"]["columns"] for run in snapshot["runs"])
    assert columns[first["perplexity"]].tolist() == [5.0, 4.5, 4.0]
    assert columns[second["perplexity"]].tolist() == [6.0, 5.5, 5.25]
    assert first["update"] == second["update"]
    assert len(columns) == 5, "update, tokens and wall seconds once, two perplexities"


def test_metrics_are_flat_and_what_is_not_finite_is_null(write_run: Write, results: Path) -> None:
    write_run(metrics={"mrpc": {"accuracy": 0.8}, "loss": float("nan"), "note": "words"})
    (run,) = snapshot_of(results)["runs"]
    assert run["metrics"] == {"mrpc.accuracy": 0.8, "loss": None}


def test_a_run_that_is_not_finished_has_no_metrics(write_run: Write, results: Path) -> None:
    write_run("rope", 1, status=None)
    write_run("rope", 2, status="failed", error="RuntimeError: boom")
    running, failed = snapshot_of(results)["runs"]
    assert (running["status"], running["metrics"], running["ended"]) == ("running", {}, None)
    assert (failed["status"], failed["metrics"], failed["error"]) == ("failed", {}, "RuntimeError: boom")


def test_no_text_ends_the_script_that_holds_it(write_run: Write, results: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--\u2028"
    write_run(status="failed", error=hostile, name=hostile)
    store = RunStore(results)
    store.refresh()
    text = to_json(make_snapshot(list(store.runs.values())))
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text)["runs"][0]["error"] == hostile


def test_links_are_relative_from_wherever_the_page_lies(tmp_path: Path) -> None:
    results = tmp_path / "my results"
    assert link_to(results, results / "dashboard.html") == "."
    assert link_to(results, tmp_path / "page.html") == "my%20results"
    assert unquote(link_to(results, tmp_path / "a" / "b" / "page.html")) == "../../my results"


def test_an_empty_snapshot_has_no_columns() -> None:
    snapshot = json.loads(to_json(make_snapshot([], removed=["runs/alm/rope-0/seed1"], version=3)))
    assert (snapshot["runs"], snapshot["lengths"], snapshot["version"]) == ([], [], 3)
    assert snapshot["removed"] == ["runs/alm/rope-0/seed1"]
    assert gzip.decompress(base64.b64decode(snapshot["columns"])) == b""
