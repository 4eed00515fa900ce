"""The executor whose tasks are jobs of SLURM."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.launch.executors import Outcome, Say, TaskExecutor
from experiments.launch.processes import uninterrupted
from experiments.launch.slurm.commands import NoAnswer, shown, states, submit
from experiments.launch.slurm.notes import Notes
from experiments.launch.slurm.script import batch_script
from experiments.launch.slurm.watch import Watch, Watched
from experiments.runs.records import RunFolder
from experiments.util.errors import UserError
from experiments.util.files import write_atomically

ARRAY_SIZE = 1000  # SLURM's own limit (MaxArraySize), where a site has not changed it


class SlurmExecutor(TaskExecutor):
    """Each task is a job. What is queued or runs already, submitted by this or another command, is waited for; the rest
    is submitted: one array, and one more for the tasks that start from the same unfinished runs, which it depends on.

    Args:
        results: the results folder, which notes and logs go below.
        name: of the jobs.
        settings: as ``conf/hydra/launcher/slurm.yaml`` has them.
        say: for a person: job ids, logs, and once a minute how far the jobs are.
    """

    look_seconds = 10.0  # from one question to SLURM to the next
    line_seconds = 60.0  # from one line of progress to the next

    def __init__(self, results: Path, name: str, settings: Mapping[str, Any], say: Say) -> None:
        super().__init__()
        self._notes, self._name, self._settings, self._say = Notes(results), name, settings, say
        self._watch = Watch(say, self.line_seconds)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Submit what has no job, and return.

        Raises:
            UserError: sbatch is missing or refuses, or SLURM does not say what it has.
        """
        self._give_jobs([Watched(task, future, None) for task, future in self._submitted])

    def start(self) -> None:
        self.begin()
        self._thread = threading.Thread(target=self._follow, name="watch of SLURM's jobs", daemon=True)
        self._thread.start()

    def stop(self, number: int) -> None:
        """Leave; the jobs go on."""
        self._ended.set()
        jobs = [item.note.job for item in self._watch.open if item.note is not None]
        self.farewell = (
            f"left; {len(jobs)} jobs go on, and the same command waits for them again. To end them: "
            f"scancel {' '.join(shown(jobs))}"
        )

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _follow(self) -> None:
        try:
            while self._watch.open and not self._ended.is_set():
                if given_up := self._watch.look():
                    self._give_jobs(given_up)
                if self._watch.open:
                    self._ended.wait(self.look_seconds)
        except BaseException as error:
            for item in self._watch.open:
                item.future.set_exception(error)

    def _give_jobs(self, items: Sequence[Watched]) -> None:
        with self._notes.lock():
            notes = {item.task.label: self._notes.read(item.task.label) for item in items}
            try:
                known = states(note.job for note in notes.values() if note is not None)
            except FileNotFoundError:
                known = {}
            except NoAnswer as error:
                raise UserError(f"SLURM does not say which jobs there are: {error}") from None
            missing: list[Watched] = []
            for item in items:
                note = notes[item.task.label]
                if item.task.done():
                    item.future.set_result(Outcome())
                elif note is not None and (state := known.get(note.job)) is not None and state.live:
                    item.note, item.state = note, state
                    self._watch.open.append(item)
                elif RunFolder(item.task.folder).held():
                    self._say(f"{item.task.name}: in use by {RunFolder(item.task.folder).holder()}; waiting for it")
                    self._watch.open.append(item)
                else:
                    missing.append(item)
            if attached := [item.note.job for item in items if item.note is not None]:
                self._say(f"{len(attached)} jobs are queued or running already: {' '.join(shown(attached))}")
            self._submit_all(missing)

    def _submit_all(self, missing: Sequence[Watched]) -> None:
        """Arrays in the order of what they wait for: a run before those that start from it."""
        left = list(missing)
        while left:
            folders = {item.task.folder for item in left}
            ready = [item for item in left if not folders & set(item.task.after)] or left
            left = [item for item in left if item not in ready]
            groups: dict[tuple[str, ...], list[Watched]] = {}
            for item in ready:
                groups.setdefault(self._jobs_of(item.task.after), []).append(item)
            for after, group in groups.items():
                for start in range(0, len(group), ARRAY_SIZE):
                    self._submit(group[start : start + ARRAY_SIZE], after)

    def _jobs_of(self, folders: Sequence[Path]) -> tuple[str, ...]:
        """The jobs that do the runs in these folders now."""
        return tuple(
            item.note.job for item in self._watch.open if item.note is not None and item.task.folder in folders
        )

    def _submit(self, items: Sequence[Watched], after: tuple[str, ...]) -> None:
        self._notes.logs.mkdir(parents=True, exist_ok=True)
        commands = [item.task.command for item in items]
        script = batch_script(self._name, commands, self._settings, str(self._notes.logs), after)
        with uninterrupted():  # a job without its note would be submitted again
            array = submit(script)
            write_atomically(self._notes.folder / "scripts" / f"{array}.sh", script)
            for place, item in enumerate(items):
                item.note, item.after = self._notes.write(item.task.label, f"{array}_{place}"), after
                self._watch.open.append(item)
        waits = f", after {' '.join(shown(after))}" if after else ""
        jobs = [item.note.job for item in items if item.note is not None]
        self._say(
            f"submitted {' '.join(shown(jobs))}: {len(items)} jobs{waits}; logs: {self._notes.logs}/{array}_*.log"
        )
