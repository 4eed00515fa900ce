"""How faults are counted: every attempt of every test, in a table at the end of `make test-faults`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_prep.api import prepare, prepare_task
from tests.data_prep.images.support import write_folder
from tests.data_prep.sentence_tasks.support import write_task
from tests.experiments.conftest import tiny_data, write_corpus  # noqa: F401 - a fixture
from tests.faults.counts import PROPERTY, Tally, table

TABLE = Path(__file__).resolve().parents[2] / "build" / "faults.md"


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root (LRPE_DATA) with what every family's small run reads."""
    folder = tmp_path_factory.mktemp("data")
    prepare("wikitext2", out=folder, source=write_corpus(folder / "text", lines=60), allow_other_counts=True)
    tables = write_task(folder / "tables", "rte", rows=40)
    prepare_task("rte", folder / "wikitext2", out=folder, source=tables, allow_other_counts=True)
    images = write_folder(folder / "images", train=12, valid=4)
    prepare("cifar10", out=folder, source=images, allow_other_counts=True)
    return folder


@pytest.fixture
def tally(record_property: Callable[[str, Any], None]) -> Tally:
    """Counts this test's attempts: ``with tally("SIGKILL, alm"): ...``."""
    return Tally(lambda attempt: record_property(PROPERTY, attempt))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    attempts = [
        value
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if attempts:
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(table(attempts) + "\n", encoding="utf-8")
        terminalreporter.section("faults")
        terminalreporter.write_line(table(attempts))
