"""How faults are counted: every attempt of every test, in a table at the end of `make test-faults`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.conftest import tiny_data  # noqa: F401 - a fixture
from tests.faults.counts import PROPERTY, Tally, table

TABLE = Path(__file__).resolve().parents[2] / "build" / "faults.md"


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
