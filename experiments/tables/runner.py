"""Training the missing runs, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

from experiments.manifest import available_cores, gpu_names
from experiments.tables.aggregate import value_of
from experiments.tables.plan import Job
from experiments.tables.spec import Column

TAIL_LINES = 15
GRACE_SECONDS = 60


class Stopped(KeyboardInterrupt):
    """A signal asked for the end; the runs have been asked to end too."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True)
class Failure:
    job: Job
    reason: str
    tail: str


class Children:
    """The training processes that are running now.

    Each is a session of its own, so that one Ctrl-C reaches it once, from here, and it can end in order.
    """

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def launch(self, command: Sequence[str], log: Path | None, environment: Mapping[str, str]) -> int:
        """Run a command to its end, on this terminal or into ``log``, and return its exit code."""
        with open(log, "wb") if log else nullcontext() as out:
            with self._lock:
                if self._stopping:
                    return 128 + signal.SIGTERM
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT if out else None,
                    env={**os.environ, **environment},
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                return process.wait()
            finally:
                with self._lock:
                    self._running.discard(process)

    def stop(self, number: int) -> None:
        """Pass a signal on, and kill what has not ended a minute later."""
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for process in running:
            process.send_signal(number)
        deadline = time.monotonic() + GRACE_SECONDS
        try:
            for process in running:
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            for process in running:
                process.kill()


Launch = Callable[[Sequence[str], Path | None, Mapping[str, str]], int]


def run_jobs(
    jobs: Sequence[Job],
    workers: int,
    logs: Path,
    column: Column,
    say: Callable[[str], None],
    launch: Launch | None = None,
) -> list[Failure]:
    """Train ``jobs``, ``workers`` at a time; a run that fails does not keep the others from running.

    One worker: runs write to this terminal. Several: each run writes to a file in ``logs``, shares the cores, and has
    one of the GPUs where there are several. Raises :class:`Stopped` (signals INT, TERM, HUP) once all runs have ended.
    """
    children = Children()
    start = launch or children.launch
    free: SimpleQueue[int] = SimpleQueue()
    for slot in range(workers):
        free.put(slot)
    devices = _devices() if workers > 1 else []

    progress = threading.Lock()
    done = 0

    def run(position: int, job: Job) -> Failure | None:
        nonlocal done
        slot = free.get()
        try:
            if workers == 1:
                say(f"[{position}/{len(jobs)}] {job.name}")
            began, log = time.monotonic(), _log(logs, job, workers)
            failure = _check(job, start(job.command, log, _environment(slot, workers, devices)), log)
            seconds = time.monotonic() - began
            outcome = failure.reason if failure else f"finished in {seconds:,.0f} s{_shown(job, column)}"
            with progress:
                done += 1
                say(f"[{done}/{len(jobs)}] {job.name}: {outcome}")
            return failure
        finally:
            free.put(slot)

    with ThreadPoolExecutor(workers) as pool, stopping_on_signals():
        waiting = [pool.submit(run, position, job) for position, job in enumerate(jobs, start=1)]
        try:
            wait(waiting)
        except Stopped as stopped:
            pool.shutdown(wait=False, cancel_futures=True)
            children.stop(stopped.number)
            raise
    return [failure for future in waiting if (failure := future.result()) is not None]


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Turn the signals that end a program into :class:`Stopped`, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _check(job: Job, code: int, log: Path | None) -> Failure | None:
    record = job.record()
    if record is not None and record.finished:
        return None
    reason = f"failed with exit code {code}" if code else "ended without a finished record"
    if log is not None and log.exists():
        lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
        return Failure(job, reason, "\n".join(lines[-TAIL_LINES:]))
    error = record["error"] if record is not None else None
    return Failure(job, reason, str(error) if error else "its message is above, on the terminal")


def _shown(job: Job, column: Column) -> str:
    value = value_of(job.record() or {}, column)
    return "" if value is None else f", {column.header} {value:.{column.digits}f}"


def _log(logs: Path, job: Job, workers: int) -> Path | None:
    if workers == 1:
        return None
    logs.mkdir(parents=True, exist_ok=True)
    return logs / f"{job.row.key}-{job.protocol}-seed{job.seed}.log"


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
