"""Exit codes that a person or a scheduler acts on: of a training run, and of a table or a study that trains runs."""

from __future__ import annotations

import signal

SIGNALLED = 128  # codes above are 128 + signal, by convention
REQUEUE = 75  # sysexits' EX_TEMPFAIL: a checkpoint was written, the same command goes on


def code_after(number: int) -> int:
    """The exit code of a command that signal ``number`` ended in order: 128 + signal where a person did that (Ctrl-C, a
    terminal closed), else the one that says to start it again."""
    return SIGNALLED + number if number in (signal.SIGINT, signal.SIGHUP) else REQUEUE


def was_stopped(code: int) -> bool:
    """Whether somebody stopped the run, so that a sweep must end and not go on to its next run."""
    return code == REQUEUE or code > SIGNALLED
