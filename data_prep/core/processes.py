"""Which process this is, and whether another one lives: what a lock's lease says of its holder."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path


def kernel() -> str:
    """The running kernel; containers of one machine share it, two machines never do."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return socket.gethostname()


def job() -> str | None:
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array and index else os.environ.get("SLURM_JOB_ID")


def namespace() -> str | None:
    """What process numbers are relative to: two containers may both have a process 7."""
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return None


def started(pid: int) -> str | None:
    """When a process started, in the kernel's ticks, so that a number that came round again is told apart; None where
    no such process lives."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return "unknown"
    return None if fields[0] in "ZX" else fields[19]
