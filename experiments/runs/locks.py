"""Who works on a folder: a lock beside it that its holder's end, however violent, releases."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from experiments.util.errors import UserError
from experiments.util.files import write_atomically

PATIENCE_SECONDS = 1.0  # is_held() takes a lock for a moment; whoever wants to hold it outlasts that


class InUse(UserError):
    """Another process holds what this one wants: ``path``, and ``by``, who that is."""

    def __init__(self, path: Path, by: str) -> None:
        super().__init__(f"{path} is in use by {by}; wait for it or stop it")
        self.path = path
        self.by = by


@contextmanager
def hold(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold ``<path>.lock`` for this process, and say so in ``<path>.holder.json``.

    With ``wait``, what another process holds is waited for, and its holder said once.

    Raises:
        InUse: another process holds it; the message names host and process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not inside the lock file: whoever tries to take a lock truncates that file first.
    written = holder_file(path)
    lock = FileLock(lock_file(path))
    try:
        lock.acquire(timeout=PATIENCE_SECONDS)
    except Timeout:
        by = holder(path)
        if not wait:
            raise InUse(path, by) from None
        print(f"{path} is in use by {by}; waiting for it", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        write_atomically(written, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        yield
    finally:
        written.unlink(missing_ok=True)
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of ``path`` now; True where it cannot be tried (somebody else's folder)."""
    if not lock_file(path).exists():
        return False
    lock = FileLock(lock_file(path))
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def lock_file(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def holder_file(path: Path) -> Path:
    return path.with_name(path.name + ".holder.json")


def holder(path: Path) -> str:
    """Who holds the lock of ``path``, for a person: process and host."""
    for _ in range(20):
        with suppress(OSError, ValueError, KeyError):
            known = json.loads(holder_file(path).read_text(encoding="utf-8"))
            return f"process {known['pid']} on {known['host']}"
        time.sleep(0.05)  # the holder names itself just after it takes the lock
    return "another process"
