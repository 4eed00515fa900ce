"""Doing what is missing, each task in a process of its own: training runs, and measuring them further."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from experiments.launch.processes import Children, Launch, Stopped, stopping_on_signals
from experiments.launch.tasks import Queue, Task
from experiments.runs.records import RunFolder
from experiments.tables.aggregate import value_of
from experiments.tables.spec import Column
from experiments.util.hardware import available_cores, gpu_names

TAIL_LINES = 15


@dataclass(frozen=True)
class Failure:
    task: Task
    reason: str
    tail: str


def run_tasks(
    tasks: Sequence[Task],
    workers: int,
    logs: Path,
    columns: Sequence[Column],
    say: Callable[[str], None],
    launch: Launch | None = None,
) -> list[Failure]:
    """Do ``tasks``, ``workers`` at a time; one that fails does not keep the others from running, and a run that another
    process works on (another table's, say) is waited for and not done twice.

    One worker: tasks write to this terminal. Several: each writes to a file in ``logs``, shares the cores, and has one
    of the GPUs where there are several. Raises :class:`Stopped` (signals INT, TERM, HUP, USR1) once all have ended.
    """
    children = Children()
    start = launch or children.launch
    queue = Queue(tasks)
    free: SimpleQueue[int] = SimpleQueue()
    for slot in range(workers):
        free.put(slot)
    devices = _devices() if workers > 1 else []

    progress = threading.Lock()
    done = 0

    def run() -> Failure | None:
        nonlocal done
        slot = free.get()
        try:
            position, task = queue.take()
            if workers == 1:
                say(f"[{position}/{len(tasks)}] {task.name}")
            began, log = time.monotonic(), _log(logs, task, workers)
            code = 0
            while children.wait_for(task, say):
                code = start(task.command, log, _environment(slot, workers, devices))
                # Where another process took the run in between, ours was refused: theirs counts.
                if not RunFolder(task.folder).held():
                    break
            failure = _check(task, code, log)
            seconds = time.monotonic() - began
            outcome = failure.reason if failure else f"finished in {seconds:,.0f} s{_shown(task, columns)}"
            with progress:
                done += 1
                say(f"[{done}/{len(tasks)}] {task.name}: {outcome}")
            return failure
        finally:
            free.put(slot)

    with ThreadPoolExecutor(workers) as pool, stopping_on_signals():
        waiting = [pool.submit(run) for _ in tasks]
        try:
            wait(waiting)
        except Stopped as stopped:
            pool.shutdown(wait=False, cancel_futures=True)
            children.stop(stopped.number)
            raise
    return [failure for future in waiting if (failure := future.result()) is not None]


def _check(task: Task, code: int, log: Path | None) -> Failure | None:
    if task.done():
        return None
    record = task.record()
    reason = f"failed with exit code {code}" if code else "ended without a finished record"
    if log is not None and log.exists():
        lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
        return Failure(task, reason, "\n".join(lines[-TAIL_LINES:]))
    error = record["error"] if record is not None else None
    return Failure(task, reason, str(error) if error else "its message is above, on the terminal")


def _shown(task: Task, columns: Sequence[Column]) -> str:
    """The first of the table's numbers that the task has brought."""
    record = task.record() or {}
    for column in columns:
        if column.metric and column.overrides == task.variant and (value := value_of(record, column)) is not None:
            return f", {column.header} {value:.{column.digits}f}"
    return ""


def _log(logs: Path, task: Task, workers: int) -> Path | None:
    if workers == 1:
        return None
    logs.mkdir(parents=True, exist_ok=True)
    return logs / f"{task.stem}.log"


def _environment(slot: int, workers: int, devices: Sequence[str]) -> dict[str, str]:
    """What a run among several gets: its share of the cores, and one GPU."""
    environment: dict[str, str] = {}
    if workers > 1 and "OMP_NUM_THREADS" not in os.environ:
        environment["OMP_NUM_THREADS"] = str(max(1, available_cores() // workers))
    if devices:
        environment["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
    return environment


def _devices() -> list[str]:
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    return [str(index) for index in range(len(gpu_names()))]
