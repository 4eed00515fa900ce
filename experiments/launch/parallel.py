"""``hydra/launcher=parallel``: the runs of a sweep in processes of their own, several at once.

A signal to the sweep is passed on to every run, each of which writes a checkpoint; the sweep waits for all of them.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from experiments.launch.exit_codes import REQUEUE, SIGNALLED, code_after, was_stopped
from experiments.launch.processes import Children, Stopped, stopping_on_signals
from experiments.launch.sweep import JOB_FOLDER
from experiments.util.hardware import available_cores

LOGGER = logging.getLogger(__name__)


def run_all(jobs: Sequence[tuple[Path, Sequence[str]]], at_once: int) -> list[int]:
    """Train each job's overrides, ``at_once`` at a time, and return the exit codes.

    Args:
        jobs: the folder where a run leaves word of its failure, and its overrides.

    Raises:
        SystemExit: a signal ended the sweep, or one of its runs; all others have ended too.
    """
    children = Children()
    environment = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(_threads(at_once))}

    def run(job: tuple[Path, Sequence[str]]) -> int:
        folder, overrides = job
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "experiments.train", *overrides]
        code = children.launch(command, None, environment | {JOB_FOLDER: str(folder)})
        if code < 0:  # a kill, which leaves no word
            code = SIGNALLED - code
        if was_stopped(code) and not children.stopping:
            children.stop(signal.SIGTERM)
        return code

    with ThreadPoolExecutor(at_once) as pool, stopping_on_signals():
        waiting = [pool.submit(run, job) for job in jobs]
        try:
            wait(waiting)
        except Stopped as stopped:
            pool.shutdown(wait=False, cancel_futures=True)
            children.stop(stopped.number)
            LOGGER.info("stopped; the same command goes on from the last checkpoints")
            raise SystemExit(code_after(stopped.number)) from None
    codes = [future.result() for future in waiting]
    if stopped_runs := [code for code in codes if was_stopped(code)]:
        raise SystemExit(max(stopped_runs, key=lambda code: code != REQUEUE))
    return codes


def _threads(at_once: int) -> int:
    return max(1, available_cores() // at_once)
