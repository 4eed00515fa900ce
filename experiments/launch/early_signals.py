"""Signals before the training loop takes them: in the imports, the data check, the building of the model.

Nothing is unsaved then, so the process ends at once with the exit code that says to start it again. This module
imports nothing slow: a command calls :func:`exit_on_signals` before its other imports.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from experiments.launch.exit_codes import code_after

# What a scheduler sends to end a job: SIGTERM (preemption, cancel), and the warnings of `sbatch --signal`.
WARNINGS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def exit_on_signals() -> None:
    """From here on a signal ends the process in order, with what :func:`code_after` says, until another handler is
    set."""
    for number in (signal.SIGINT, *WARNINGS):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)


def leave(number: int, frame: FrameType | None = None) -> NoReturn:
    """The handler: raises SystemExit, so that locks are given back.

    A second signal ends the process without that."""
    for other in WARNINGS:
        signal.signal(other, lambda number, frame: os._exit(code_after(number)))
    print(f"stopped by {signal.Signals(number).name} before training began; nothing is lost", file=sys.stderr)
    raise SystemExit(code_after(number))
