"""How far a table's runs are: a bar per run and one for the table, or a line now and then where no terminal is.

Everything is read from the runs' folders, so it does not matter who trains them, or where.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from experiments.launch.tasks import Task
from experiments.runs.records import RunFolder
from experiments.util.console import duration, say
from experiments.util.errors import UserError

LOOK_SECONDS = 1.0  # between two looks at the folders
LINE_SECONDS = 30.0  # between two plain lines
TAIL_BYTES = 8192  # of a history: dozens of rows
SHOWN_BARS = 12  # of a larger table, only the bars of runs that go on


@dataclass
class Glance:
    """One look at a run: the part of it that is done, from 0 to 1, and the figure that a person wants to read."""

    part: float = 0.0
    figure: str = ""
    going_on: bool = False


def glance(task: Task) -> Glance:
    """A run as its folder shows it."""
    if task.done():
        return Glance(1.0, _figure(_tail(task.folder)))
    folder = RunFolder(task.folder)
    if not folder.record_path.exists() or not folder.held():
        return Glance()
    rows = _tail(task.folder)
    return Glance(_part(rows, getattr(task, "config", {}).get("recipe") or {}), _figure(rows), going_on=True)


def is_animated(console: Console) -> bool:
    """Whether bars can move on it; then the runs' own output has to go elsewhere."""
    return console.is_terminal and not console.is_dumb_terminal


@contextmanager
def shown_progress(tasks: Sequence[Task], console: Console) -> Iterator[Callable[[str], None]]:
    """Show the progress of ``tasks`` until the context ends, and give the function that prints a line meanwhile."""
    display = _Bars(tasks, console) if is_animated(console) else _Lines(tasks, console)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_SECONDS):
            display.look()

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    with display:
        watcher.start()
        try:
            yield lambda text: say(console, text)
        finally:
            ended.set()
            watcher.join()
            display.look()


@dataclass
class _Lines:
    """One line for all runs, every half a minute while something goes on."""

    tasks: Sequence[Task]
    console: Console
    began: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def look(self) -> None:
        now = time.monotonic()
        if now - self.said < LINE_SECONDS:
            return
        self.said = now
        found = [(task, _glance_or_nothing(task)) for task in self.tasks]
        running = [(task, seen) for task, seen in found if seen.going_on]
        part = sum(seen.part for _, seen in found) / len(found)
        if not running:
            return
        shown = [f"{task.name} {seen.part:.0%}{f', {seen.figure}' if seen.figure else ''}" for task, seen in running]
        elapsed = now - self.began
        left = f" | {duration(elapsed / part - elapsed)} left" if part > 0.05 else ""
        say(self.console, f"{part:.0%} | {' | '.join(shown)}{left}")


class _Bars:
    """A bar per run and one for the table, below what is said."""

    def __init__(self, tasks: Sequence[Task], console: Console) -> None:
        self._tasks = tasks
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[figure]}"),
            console=console,
        )
        few = len(tasks) <= SHOWN_BARS
        self._bars: list[TaskID] = [
            self._progress.add_task(task.name, total=1.0, start=False, visible=few, figure="") for task in tasks
        ]
        self._few = few
        self._all = self._progress.add_task("the table", total=float(len(tasks)), figure=f"0 of {len(tasks)} runs")
        self._started: set[TaskID] = set()

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def look(self) -> None:
        parts, finished = 0.0, 0
        for task, bar in zip(self._tasks, self._bars, strict=True):
            seen = _glance_or_nothing(task)
            parts, finished = parts + seen.part, finished + (seen.part == 1.0)
            if seen.going_on and bar not in self._started:
                self._started.add(bar)
                self._progress.start_task(bar)
            self._progress.update(bar, completed=seen.part, figure=seen.figure, visible=self._few or seen.going_on)
        self._progress.update(self._all, completed=parts, figure=f"{finished} of {len(self._tasks)} runs")


def _glance_or_nothing(task: Task) -> Glance:
    """A folder that cannot be read now is not a reason to end: the run's own process says what is wrong with it."""
    with suppress(UserError, OSError):
        return glance(task)
    return Glance()


def _tail(folder: Path) -> list[dict[str, Any]]:
    """The last rows of a run's history, in the order of the file."""
    rows: list[dict[str, Any]] = []
    with suppress(OSError), open(folder / "history.jsonl", "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        for line in file.read().splitlines()[1 if size > TAIL_BYTES else 0 :]:
            with suppress(ValueError):  # one that is being written
                rows.append(json.loads(line))
    return rows


def _part(rows: Sequence[dict[str, Any]], recipe: dict[str, Any]) -> float:
    """By updates, or where the recipe counts epochs by those that are over."""
    if not rows:
        return 0.0
    if updates := recipe.get("max_update"):
        return min(rows[-1]["update"] / updates, 1.0)
    epochs = recipe.get("epochs")
    return min((rows[-1].get("epoch", 1) - 1) / epochs, 1.0) if epochs else 0.0


def _figure(rows: Sequence[dict[str, Any]]) -> str:
    """Of the last validation: what it is best known by."""
    last = next((row for row in reversed(rows) if row.get("split") == "valid"), None)
    if last is None:
        return ""
    for name, shown in (("perplexity", "valid ppl"), ("top1", "valid top-1"), ("loss", "valid loss")):
        if isinstance(last.get(name), int | float):
            return f"{shown} {last[name]:.2f}"
    return ""
