"""Terminal output: tables, numbers, durations and sizes."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

NONE = "–"


def print_with_replacement() -> None:
    """Let standard output and error print ``?`` for what their encoding does not have (``LC_ALL=C``, latin-1), instead
    of ending a command that has done its work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def make_console() -> Console:
    return Console(soft_wrap=True, highlight=False)


def make_table(title: str = "") -> Table:
    return Table(title=Text(title) if title else None, title_justify="left", box=SIMPLE_HEAD)


def print_table(table: Table, console: Console) -> None:
    """A line a row; where the terminal is narrower, it breaks the lines and no number is cut."""
    if table.title:
        console.print()
    table.width = Measurement.get(console, console.options.update(width=10_000), table).maximum
    console.print(table, crop=False)


def say(console: Console, text: str) -> None:
    """Text as it is: brackets in it are no markup."""
    console.print(text, markup=False, highlight=False)


def number(value: Any) -> str:
    """Four significant digits at least; a value that is not there is a dash."""
    if value is None:
        return NONE
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.2f}" if abs(value) >= 10 else f"{value:.4g}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"


def ago(moment: str, now: datetime | None = None) -> str:
    """How long before ``now`` an ISO time was, in its largest unit."""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{max(0, seconds):.0f} s ago"
