"""How runs look in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from experiments.runs.store import StoredRun
from experiments.util.console import NONE

STYLES = {
    "finished": "green",
    "running": "cyan",
    "interrupted": "yellow",
    "failed": "bold red",
    "dead": "bold magenta",
    "broken": "bold red",
}


def state(run: StoredRun) -> Text:
    return Text(run.state, STYLES[run.state])


def headline(metrics: Mapping[str, Any]) -> tuple[str, float] | None:
    """The metric that sums a run up: a metric before a loss, the test split before the validation split."""
    known = {
        name: value
        for name, value in metrics.items()
        if isinstance(value, int | float) and "_at_" not in name and not name.startswith(("train_", "unigram_"))
    }
    for no_loss in (True, False):
        for split in ("test_", "valid_", ""):
            for name, value in known.items():
                if name.startswith(split) and not (no_loss and name.endswith("loss")):
                    return name, value
    return None


def speed(record: Mapping[str, Any]) -> str:
    """Tokens or images per second, whichever the record has."""
    for unit in ("tokens", "images"):
        if value := record.get(f"{unit}_per_second"):
            return f"{value:,.0f} {unit}/s"
    return NONE
