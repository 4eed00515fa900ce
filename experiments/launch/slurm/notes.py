"""Which job does a task: a note that is read before the same task is submitted again."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from experiments.runs.locks import hold
from experiments.util.files import write_atomically

FOLDER = "slurm"  # below a results folder


@dataclass(frozen=True)
class Note:
    """A task's job, and the file that has its output."""

    job: str
    log: str


class Notes:
    """``<results>/slurm/jobs/<run>-train.json`` and the like, one for every task that was ever submitted."""

    def __init__(self, results: Path) -> None:
        self.folder = (results / FOLDER).absolute()
        self.logs = self.folder / "logs"

    def lock(self) -> AbstractContextManager[None]:
        """Held while notes are read and jobs submitted for tasks without one, so that no task gets two jobs."""
        return hold(self.folder / "submit", wait=True)

    def read(self, label: str) -> Note | None:
        try:
            content = json.loads(self._path(label).read_text(encoding="utf-8"))
            return Note(str(content["job"]), str(content["log"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, label: str, job: str) -> Note:
        note = Note(job, str(self.logs / f"{job}.log"))
        write_atomically(self._path(label), json.dumps(asdict(note)) + "\n")
        return note

    def _path(self, label: str) -> Path:
        return self.folder / "jobs" / f"{label}.json"
