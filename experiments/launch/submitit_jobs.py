"""Signals in a job that submitit runs: each of SIGTERM, SIGUSR1 and SIGUSR2 ends in its requeue.

submitit itself takes one signal (USR2, which its ``--signal`` asks SLURM for) and passes over SIGTERM, so that a
preempted job would train on until it is killed. :func:`take_signals` gives all three to submitit's own handler, which
counts timeouts (``hydra.launcher.max_num_timeout``) and calls ``scontrol requeue``. A job that SLURM is ending already
is left to it: a preempted one comes back by itself, and one that somebody canceled must not.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from experiments.launch.early_signals import WARNINGS
from experiments.launch.exit_codes import REQUEUE

_handler: Callable[[int, Any], Any] | None = None


def in_job() -> bool:
    """Whether submitit started this process."""
    return "SUBMITIT_EXECUTOR" in os.environ


def take_signals() -> None:
    """Called first thing in a job: until the training loop takes them, signals requeue at once."""
    global _handler
    found = signal.getsignal(_own_signal())
    if found is _requeue_now or not callable(found):
        return
    _handler = found
    for number in WARNINGS:
        signal.signal(number, _requeue_now)


def requeue() -> None:
    """Requeue this job and end the process; returns where submitit leaves that to rank 0.

    Raises:
        SystemExit: the job is requeued by this call, or is SLURM's to requeue (preemption, ``scontrol requeue``) or to
            end (``scancel``).
        submitit.core.utils.UncompletedJobError: it timed out more often than ``hydra.launcher.max_num_timeout``.
    """
    if _handler is None:
        return
    for number in WARNINGS:
        signal.signal(number, signal.SIG_IGN)
    if _is_ending():
        raise SystemExit(REQUEUE)
    try:
        _handler(_own_signal(), None)
    except subprocess.CalledProcessError:
        # SLURM began to end the job in between; an error here would be taken for the job's result
        raise SystemExit(REQUEUE) from None


def _is_ending() -> bool:
    """Whether SLURM has begun to end this job, and would requeue even one that was canceled if it were asked to."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return False
    try:
        asked = subprocess.run(
            ["squeue", "--noheader", f"--jobs={job}", "--format=%T"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.stdout.strip() not in ("", "RUNNING")


def _requeue_now(number: int, frame: FrameType | None) -> NoReturn:
    requeue()
    raise SystemExit(REQUEUE)


def _own_signal() -> signal.Signals:
    return signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]
