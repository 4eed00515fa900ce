"""Commands and daemons of the cluster under test."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.slurm.layout import STATE

START_SECONDS = 60
STOP_SECONDS = 5


class ClusterError(Exception):
    """The cluster did not come up; the message says which step failed."""


def pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie, for which nobody waits in a container, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def run(*command: str) -> None:
    # daemons keep their parent's output open, so it must be a file and no pipe
    with open(STATE / "log" / "start.log", "ab") as log:
        code = subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=False).returncode
    if code:
        raise ClusterError(f"{' '.join(command)}: exit code {code}; see {STATE}/log/start.log")


def quietly(*command: str) -> None:
    with suppress(OSError):
        subprocess.run(command, capture_output=True, check=False, timeout=300)


def succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def until(reached: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise ClusterError(f"{otherwise} (after {START_SECONDS} s)")
        time.sleep(0.5)


def end(pids: Sequence[int]) -> None:
    """SIGTERM, and SIGKILL to what is left :data:`STOP_SECONDS` later."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.2)
