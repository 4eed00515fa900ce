"""Waiting for jobs: which are queued, which run, which ended, and how long the rest may take."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from experiments.launch.executors import Outcome, Say
from experiments.launch.slurm.commands import NoAnswer, State, ends, states
from experiments.launch.slurm.notes import Note
from experiments.launch.tasks import Task
from experiments.runs.records import RunFolder
from experiments.util.console import duration
from experiments.util.errors import UserError
from experiments.util.plain_yaml import read_mapping

ENDED_LOOKS = 2  # a record may reach this host after the end of its job: a network file system's cache
GONE = State("UNKNOWN", "neither squeue nor sacct knows it")


@dataclass
class Watched:
    """A task, the job that does it (None: a process outside of SLURM does), and what was last seen of it."""

    task: Task
    future: Future[Outcome]
    note: Note | None
    after: tuple[str, ...] = ()
    state: State = field(default_factory=lambda: State("PENDING"))
    looks: int = 0


class Watch:
    """Looks at the open tasks when it is told to, and gives each future its outcome when its job has ended.

    Args:
        say: for a line of progress.
        line_seconds: from one line of progress to the next.
        clock: seconds that only grow.
    """

    def __init__(self, say: Say, line_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.open: list[Watched] = []
        self._say, self._interval, self._clock = say, line_seconds, clock
        self._due = clock() + line_seconds
        self._finished, self._failed = 0, 0
        self._took: list[float] = []
        self._silent = False

    def look(self) -> list[Watched]:
        """Ask SLURM once; the tasks that another process gave up, which are no longer among the open ones."""
        jobs = {item.note.job for item in self.open if item.note is not None}
        try:
            found = states(jobs)
            found |= ends(jobs - set(found))
            self._silent = False
        except NoAnswer as error:
            if not self._silent:
                self._say(f"SLURM does not answer ({error}); asking again until it does")
            self._silent = True
            return []
        given_up = [item for item in list(self.open) if self._look(item, found)]
        if self.open and self._clock() >= self._due:
            self._due = self._clock() + self._interval
            self._say(self.line())
        return given_up

    def line(self) -> str:
        """Progress in one line."""
        pending = [item for item in self.open if item.note is not None and not item.state.running]
        running = [item for item in self.open if item.note is not None and item.state.running]
        reasons = Counter(item.state.reason for item in pending if item.state.reason)
        why = f" ({', '.join(f'{reason} {count}' for reason, count in reasons.most_common(2))})" if reasons else ""
        elsewhere = len(self.open) - len(pending) - len(running)
        left = seconds_left([item.task.folder for item in running], len(pending), self._took)
        return (
            f"{datetime.now():%H:%M}  {len(pending)} queued{why}, {len(running)} running, {self._finished} finished, "
            f"{self._failed} failed" + (f", {elsewhere} outside of SLURM" if elsewhere else "") + "; "
            + ("time left unknown yet" if left is None else f"about {duration(left)} left")
        )  # fmt: skip

    def _look(self, item: Watched, found: dict[str, State]) -> bool:
        if item.note is None:
            if item.task.done():
                self._close(item, "")
            elif not RunFolder(item.task.folder).held():
                self.open.remove(item)
                return True
            return False
        state = found.get(item.note.job, GONE)
        if state.live:
            item.state, item.looks = state, 0
        elif item.task.done():
            self._close(item, "")
        elif item.looks + 1 < ENDED_LOOKS:
            item.looks += 1
        else:
            self._close(item, "" if state.word == "COMPLETED" else _problem(item, item.note, state))
        return False

    def _close(self, item: Watched, problem: str) -> None:
        self.open.remove(item)
        seconds = 0.0
        if item.task.done():
            self._finished += 1
            seconds = float((item.task.record() or {}).get("wall_seconds") or item.state.seconds)
            self._took.append(seconds)
        else:
            self._failed += 1
        item.future.set_result(Outcome(problem, Path(item.note.log) if item.note else None, seconds))


def _problem(item: Watched, note: Note, state: State) -> str:
    why = f" ({state.reason})" if state.reason else ""
    if item.after and state.word in ("CANCELLED", GONE.word) and not Path(note.log).exists():
        why = f" (it starts from the run of job {' '.join(item.after)}, which did not finish)"
    return f"job {note.job} ended as {state.word}{why}; its log: {note.log}"


def seconds_left(running: Sequence[Path], queued: int, took: Sequence[float]) -> float | None:
    """Until all are done, if as many go on to run at once as now; None where nothing has been seen yet.

    Args:
        running: folders of the runs in progress, whose histories say how far they are.
        queued: how many have not begun.
        took: the seconds that finished ones took.
    """
    paces = [pace for folder in running if (pace := _pace(folder)) is not None]
    wholes = [*took, *(whole for whole, _ in paces)]
    if not wholes:
        return None
    typical = statistics.fmean(wholes)
    unknown = len(running) - len(paces)
    work = sum(left for _, left in paces) + typical * (queued + unknown)
    longest = max([left for _, left in paces], default=0.0)
    return max(longest, work / max(1, len(running)))


def _pace(folder: Path) -> tuple[float, float] | None:
    """Of a run in progress: the seconds of all its updates and of those left; None before its history says so."""
    run = RunFolder(folder)
    try:
        record, rows = run.load(), run.history()
        total = (read_mapping(run.config_path).get("recipe") or {}).get("max_update")
    except (UserError, OSError, ValueError):  # another host is writing these files
        return None
    if record is None or not record["segments"] or not rows or not total:
        return None
    segment = record["segments"][-1]
    made = rows[-1]["update"] - segment["from_update"]
    spent = time.time() - datetime.fromisoformat(segment["started"]).timestamp()
    if made <= 0 or spent <= 0:
        return None
    return total * spent / made, max(0, total - rows[-1]["update"]) * spent / made
