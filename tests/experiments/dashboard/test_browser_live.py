"""The served page follows runs while they go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.dashboard import server as server_module
from experiments.dashboard.server import make_server
from tests.experiments.dashboard.conftest import Write, rows_of


def test_new_rows_runs_and_results_appear_without_a_reload(
    open_page: Callable[..., Any], write_run: Write, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_SECONDS_BETWEEN_READS", 0.0)
    values = rows_of([9.0, 8.0])
    running = write_run("rope", 1, status=None, rows=values[:1])
    server = make_server(results, 0, "test")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        page = open_page(f"http://127.0.0.1:{server.server_port}/", state="view=curves")
        assert page.inner_text(".legend .value") == "9"
        running.append(values[1])
        page.locator(".legend .value", has_text="8").wait_for()
        assert page.inner_text("#live") == "live"
        page.click("#tab-runs")
        page.focus(".runs tbody input")
        write_run("none", 1, status=None)
        running.close("finished", to_update=200, metrics={"test_perplexity": 8.25})
        page.locator(".runs td", has_text="8.2500").wait_for()
        assert page.inner_text("#count") == "2 runs"
        focused = page.evaluate("document.activeElement.closest('tr')?.dataset.key")
        assert focused == "runs/alm/rope-0123abcd/seed1", "the focus stays on its run"
        with page.expect_navigation():
            page.click("tr:has-text('rope') >> text=record")
        assert '"status": "finished"' in page.inner_text("body")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
