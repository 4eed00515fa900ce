"""Somebody on the login node, with tasks that only write a file."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

from experiments.launch.executors import Outcome
from experiments.launch.slurm.executor import SlurmExecutor
from experiments.runs.records import Record


@dataclass(frozen=True)
class Writing:
    """A task that is done when its folder has a file."""

    folder: Path
    after: tuple[Path, ...] = ()
    variant: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def stem(self) -> str:
        return self.folder.name

    @property
    def label(self) -> str:
        return f"{self.folder.name}-train"

    @property
    def command(self) -> list[str]:
        return ["write", str(self.folder)]

    def record(self) -> Record | None:
        return None

    def done(self) -> bool:
        return (self.folder / "done").exists()


def write(command: Sequence[str]) -> int:
    folder = Path(command[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "done").touch()
    return 0


class Login:
    """Somebody's command on the login node: tasks by name, and what it says."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.said: list[str] = []
        self.executor = SlurmExecutor(results, "t", {"partition": "gpu", "array_parallelism": 4}, self.said.append)

    def task(self, name: str, *after: str) -> Writing:
        return Writing(self.results / "runs" / name, tuple(self.results / "runs" / other for other in after))

    def begin(self, *tasks: Writing) -> dict[str, Outcome]:
        """Submit, in the background wait for all, and give the outcomes as they come."""
        futures = {self.executor.submit(task): task for task in tasks}
        self.executor.start()
        found: dict[str, Outcome] = {}

        def wait() -> None:
            for future in as_completed(futures, timeout=30):
                found[futures[future].name] = future.result()

        self.waiting = threading.Thread(target=wait)
        self.waiting.start()
        return found

    def end(self) -> str:
        self.waiting.join(timeout=30)
        assert not self.waiting.is_alive(), self.said
        return "\n".join(self.said)
