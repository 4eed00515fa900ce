"""A headless Chromium, and stores of runs for it to look at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.dashboard.__main__ import write_dashboard
from experiments.dashboard.modules import join_modules
from experiments.dashboard.page import ASSETS
from experiments.runs.records import RunFolder
from tests.experiments.dashboard.pages import ROPE, write
from tests.experiments.dashboard.synthetic import write_store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

Write = Callable[..., RunFolder]


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Chromium with a profile of its own; what needs it is skipped where it is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium here (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def call(browser: Any) -> Any:
    """Calls a function of a module: ``call("statistics.smooth", [1, 2], 0.5)``."""
    page = browser.new_page()
    names = [path.stem for path in ASSETS.glob("*.js") if path.stem != "main"]
    page.add_script_tag(content=join_modules(ASSETS, sorted(names)).replace("const modules", "window.modules", 1))

    def made(name: str, *arguments: Any) -> Any:
        module, function = name.split(".", 1)
        return page.evaluate(f"all => modules.{module}.{function}(...all)", list(arguments))

    yield made
    page.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file or an address and waits for the page; a script's error or any request elsewhere fails the test."""
    contexts, troubles = [], []

    def open_(
        place: Path | str, *, width: int = 1280, height: int = 800, scheme: str = "light", state: str = ""
    ) -> Any:
        address = place if isinstance(place, str) else place.as_uri()
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: troubles.append(f"script: {error}"))
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        page.on("request", lambda one: None if one.url.startswith(address) else troubles.append(f"request: {one.url}"))
        page.on("dialog", lambda dialog: (troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(address + (f"#{state}" if state else ""))
        page.wait_for_selector("html[data-ready=true]")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture
def write_run(tmp_path: Path) -> Write:
    """Writes one run through ``RunFolder``, as training does."""

    def write(
        encoding: str = "rope",
        seed: int = 1,
        *,
        experiment: str = "alm",
        identity: str = "0123abcd",
        status: str | None = "finished",
        metrics: dict[str, Any] | None = None,
        rows: list[dict[str, Any]] | None = None,
        config: str = "",
        error: str | None = None,
        **run: Any,
    ) -> RunFolder:
        folder = RunFolder(tmp_path / "results" / "runs" / experiment / f"{encoding}-{identity}" / f"seed{seed}")
        named = {"experiment": experiment, "encoding": encoding, "protocol": "controlled", "profile": "demo"}
        named |= {"data": "pydoc", "seed": seed, "identity": identity, "name": f"{encoding} seed {seed}", **run}
        folder.write_config(config or f"seed: {seed}\nencoding: {{label: {json.dumps(encoding)}}}\n")
        folder.begin(named, manifest={"python": "3.11"}, parameters={"total": 10, "encoding": 2})
        for row in rows or []:
            folder.append(row)
        if status is not None:
            folder.close(status, to_update=10, metrics=metrics, error=error, tokens=100)
        return folder

    return write


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Where ``write_run`` writes."""
    return tmp_path / "results"


@pytest.fixture(scope="package")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 1,000 runs of 200 rows."""
    folder = tmp_path_factory.mktemp("thousand")
    write_store(folder, 1_000)
    write_dashboard(folder, folder / "dashboard.html")
    return folder / "dashboard.html"


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


def rows_of(
    values: list[float], name: str = "perplexity", split: str = "valid", every: int = 100
) -> list[dict[str, Any]]:
    """A history of one quantity."""
    return [
        {
            "update": every * place,
            "tokens": every * place * 1024,
            "split": split,
            name: value,
            "wall_seconds": 2.0 * place,
        }
        for place, value in enumerate(values, start=1)
    ]
