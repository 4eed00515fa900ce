"""Shared by all tests: one thread a process, no network, no account, and the real data where the machine has it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before torch starts its threads: the tests run in parallel processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ.pop("WANDB_API_KEY", None)

import pytest
import torch

from tests.faults.counts import PROPERTY, Tally, table
from tests.pairwise import pairwise

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would the processes that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when the kernels are first imported

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "build" / "faults.md"


# Folders whose tests need no training run, browser or interpreter of kernels.
FAST = (
    "tests/lrpe/attention", "tests/lrpe/encodings", "tests/lrpe/models", "tests/experiments/config",
    "tests/experiments/util", "tests/experiments/runs", "tests/data_prep/core",
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-cases", action="store_true", help="every parametrized case, not a pairwise choice of them")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the fast tests, and thin parametrizations of several parameters to a pairwise choice."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        path = item.path.relative_to(ROOT).as_posix()
        if path.startswith(FAST) and not any(item.iter_markers("slow")):
            item.add_marker("fast")
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    if config.getoption("--all-cases"):
        return
    kept: set[pytest.Item] = set()
    for group in cases.values():
        parameters = [getattr(getattr(item, "callspec", None), "params", {}) for item in group]
        kept.update(group[index] for index in pairwise(parameters))
    thinned = [item for item in items if item not in kept]
    config.hook.pytest_deselected(items=thinned)
    items[:] = [item for item in items if item in kept]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Copies of WikiText-2, GPT-2's BPE and others, which the repository does not carry."""
    folder = Path(os.environ.get("LRPE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set LRPE_SHARED_DATA to a folder that has it)")
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
    if attempts:  # every attempt of every test, at the end of `make test-faults` and `make test-slurm`
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(table(attempts) + "\n", encoding="utf-8")
        terminalreporter.section("faults")
        terminalreporter.write_line(table(attempts))
