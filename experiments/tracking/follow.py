"""The process beside a run that sends its history to wandb: ``python -m experiments.tracking.follow FOLDER``.

It reads the run's files and nothing else, so that nothing that wandb does or fails to do reaches training. The first
line on standard output is :data:`READY`, or, as a later one, why it ends. A byte on standard input, or its end, says
that the run has ended.
"""

from __future__ import annotations

import os
import select
import signal
import sys

from experiments.runs.locks import hold
from experiments.runs.records import RunFolder
from experiments.tracking.setup import NO_ACCOUNT, Limits, has_credentials, import_wandb
from experiments.tracking.upload import upload
from experiments.tracking.waiting import let_go, reason
from experiments.util.errors import UserError

READY = "ready"
INCOMPLETE, REFUSED, ANONYMOUS = 1, 2, 3  # exit codes; REFUSED: settings that wandb does not take
LOOK_SECONDS = 2.0
# A scheduler may send these to every process of a job; the run decides when this one ends.
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def follow(folder: RunFolder) -> int:
    """Send a run's rows until it ends; the exit code, what is wrong on standard output."""
    try:
        wandb = import_wandb()
        if not has_credentials(wandb):
            print(NO_ACCOUNT, flush=True)
            return ANONYMOUS
    except UserError as error:
        print(error, flush=True)
        return REFUSED
    print(READY, flush=True)
    try:
        with hold(folder.path / "wandb", wait=True):
            upload(wandb, folder, Limits.from_environment(), _goes_on)
    except Exception as error:  # wandb's errors have no common class
        print(reason(error), flush=True)
        return INCOMPLETE
    return 0


def _goes_on() -> bool:
    return not select.select([sys.stdin], [], [], LOOK_SECONDS)[0]


if __name__ == "__main__":
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    code = follow(RunFolder(sys.argv[1]))
    if code in (0, INCOMPLETE):
        let_go(import_wandb())
    os._exit(code)  # wandb's exit handler may wait without end
