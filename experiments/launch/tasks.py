"""What is to be done for a table, a sweep or a study, and in which order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from experiments.runs.records import Record, RunFolder


class Task(Protocol):
    """A command that works on one run's folder, and how to tell that it was done.

    Attributes:
        name: for a person.
        stem: the name of its log file.
        label: the same for every command that would do the same.
        after: folders of runs that it starts from.
    """

    @property
    def name(self) -> str: ...
    @property
    def stem(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def after(self) -> tuple[Path, ...]: ...
    @property
    def variant(self) -> tuple[str, ...]: ...
    @property
    def command(self) -> list[str]: ...
    def record(self) -> Record | None: ...
    def done(self) -> bool: ...


def label_of(folder: Path, what: str) -> str:
    """``alm-rope-1a2b3c4d-seed1-train`` for what is done to the run in a folder."""
    return "-".join((*folder.parts[-3:], what))


class Queue:
    """Tasks in order; one whose run another process holds is put off as long as others are left."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._waiting = list(enumerate(tasks, start=1))
        self._lock = threading.Lock()

    def take(self) -> tuple[int, Task]:
        """The next task and its place among all."""
        with self._lock:
            free = (place for place, (_, task) in enumerate(self._waiting) if not RunFolder(task.folder).held())
            return self._waiting.pop(next(free, 0))
