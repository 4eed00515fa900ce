"""Exit codes of a training run that a person or a scheduler acts on."""

from __future__ import annotations

SIGNALLED = 128  # codes above are 128 + signal, by convention
REQUEUE = 75  # sysexits' EX_TEMPFAIL: a checkpoint was written, the same command goes on


def was_stopped(code: int) -> bool:
    """Whether somebody stopped the run, so that a sweep must end and not go on to its next run."""
    return code == REQUEUE or code > SIGNALLED
