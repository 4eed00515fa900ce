"""Who does the tasks of one queue: processes on this machine, or (:mod:`experiments.launch.slurm`) jobs of SLURM.

The interface is that of ``concurrent.futures``: :meth:`TaskExecutor.submit` gives a future, ``as_completed`` waits.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Self, TypeVar

from experiments.launch.processes import Children, Launch, Stopped, stopping_on_signals
from experiments.launch.tasks import Queue, Task
from experiments.runs.records import RunFolder
from experiments.util.hardware import available_cores, gpu_names

Say = Callable[[str], None]
AnyTask = TypeVar("AnyTask", bound=Task)


@dataclass(frozen=True)
class Outcome:
    """How a task's process ended: why it failed (empty: it did not), where its output is, and how long it took."""

    problem: str = ""
    log: Path | None = None
    seconds: float = 0.0


class TaskExecutor(ABC):
    """Tasks are given with :meth:`submit`, begun together by :meth:`start`, and ended early by :meth:`stop`. As a
    context it waits for what is left at its end."""

    farewell = "stopped; finished runs are kept, and the same command goes on from the last checkpoints"
    """What a person reads after :meth:`stop`."""

    def __init__(self) -> None:
        self._submitted: list[tuple[Task, Future[Outcome]]] = []

    def submit(self, task: Task) -> Future[Outcome]:
        """Put a task at the end of the queue."""
        future: Future[Outcome] = Future()
        self._submitted.append((task, future))
        return future

    @abstractmethod
    def start(self) -> None:
        """Begin with the queue; nothing is submitted after that.

        Raises:
            UserError: the tasks cannot be begun here.
        """

    @abstractmethod
    def stop(self, number: int) -> None:
        """Signal ``number`` asks for the end of this process."""

    @abstractmethod
    def close(self) -> None:
        """Wait for what is left."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def do_all(tasks: Sequence[AnyTask], executor: TaskExecutor, report: Callable[[AnyTask, Outcome], None]) -> None:
    """Do ``tasks`` and report each as it ends.

    Raises:
        Stopped: a signal (INT, TERM, HUP, USR1, USR2) asked for the end, and the executor has ended in order.
        UserError: the executor cannot begin.
    """
    with executor, stopping_on_signals():
        waiting = {executor.submit(task): task for task in tasks}
        try:
            executor.start()
            for future in as_completed(waiting):
                report(waiting[future], future.result())
        except Stopped as stopped:
            executor.stop(stopped.number)
            raise


class LocalExecutor(TaskExecutor):
    """Processes on this machine, ``workers`` at a time; a run that another process works on is waited for.

    Each task writes to a file in ``logs``, or to this terminal where that is None (one worker). Several workers share
    the cores, and each has one of the GPUs where there are several.
    """

    def __init__(self, workers: int, logs: Path | None, say: Say, launch: Launch | None = None) -> None:
        super().__init__()
        self._workers, self._logs, self._say = workers, logs, say
        self._children = Children()
        self._launch = launch or self._children.launch
        self._pool = ThreadPoolExecutor(workers)
        self._devices = _devices() if workers > 1 else []
        self._slots: SimpleQueue[int] = SimpleQueue()
        for slot in range(workers):
            self._slots.put(slot)

    def start(self) -> None:
        queue = Queue([task for task, _ in self._submitted])
        for _ in self._submitted:
            self._pool.submit(self._take, queue)

    def stop(self, number: int) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._children.stop(number)

    def close(self) -> None:
        self._pool.shutdown()

    def _take(self, queue: Queue) -> None:
        slot = self._slots.get()
        try:
            position, task = queue.take()
            future = self._submitted[position - 1][1]
            try:
                if self._logs is None:
                    self._say(f"[{position}/{len(self._submitted)}] {task.name}")
                future.set_result(self._do(task, slot))
            except BaseException as error:
                future.set_exception(error)
        finally:
            self._slots.put(slot)

    def _do(self, task: Task, slot: int) -> Outcome:
        began, log, code = time.monotonic(), self._log(task), 0
        while self._children.wait_for(task.folder, task.name, self._say) and not task.done():
            code = self._launch(task.command, log, self._environment(slot))
            # Where another process took the run in between, ours was refused: theirs counts.
            if not RunFolder(task.folder).held():
                break
        return Outcome(f"failed with exit code {code}" if code else "", log, time.monotonic() - began)

    def _log(self, task: Task) -> Path | None:
        if self._logs is None:
            return None
        self._logs.mkdir(parents=True, exist_ok=True)
        return self._logs / f"{task.stem}.log"

    def _environment(self, slot: int) -> dict[str, str]:
        """What a run among several gets: its share of the cores, and one GPU."""
        environment: dict[str, str] = {}
        if self._workers > 1 and "OMP_NUM_THREADS" not in os.environ:
            environment["OMP_NUM_THREADS"] = str(max(1, available_cores() // self._workers))
        if self._devices:
            environment["CUDA_VISIBLE_DEVICES"] = self._devices[slot % len(self._devices)]
        return environment


def _devices() -> Sequence[str]:
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    return [str(index) for index in range(len(gpu_names()))]
