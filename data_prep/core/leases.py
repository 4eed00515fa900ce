"""The lease of a lock: a file that names its holder, and that a heartbeat keeps fresh.

No host's clock is compared with another's: a process that wants the lock watches the lease.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.core.processes import job, kernel, namespace, started

EXPIRY_VARIABLE = "LRPE_LOCK_EXPIRY"
EXPIRY_SECONDS = 60.0
BEATS = 6  # heartbeats within an expiry: one that comes late costs nothing
EXIT_LOST = 75  # sysexits' EX_TEMPFAIL: the same command goes on, once the lock is free


@dataclass(frozen=True)
class Lease:
    """What a lease file says; ``beat`` changes with every heartbeat. Fields are None where it could not be read."""

    beat: tuple[int, int]
    host: str | None = None
    pid: int | None = None
    job: str | None = None
    kernel: str | None = None
    namespace: str | None = None
    started: str | None = None
    flock: bool = False
    expiry: float = EXPIRY_SECONDS

    def __str__(self) -> str:
        if self.pid is None:
            return "another process"
        return f"process {self.pid} on {self.host}" + (f" (job {self.job})" if self.job else "")


def expiry() -> float:
    """Seconds without a heartbeat after which a holder on another host counts as dead (``LRPE_LOCK_EXPIRY``)."""
    try:
        given = float(os.environ.get(EXPIRY_VARIABLE, EXPIRY_SECONDS))
    except ValueError:
        return EXPIRY_SECONDS
    return given if 1 <= given < float("inf") else EXPIRY_SECONDS


def read_lease(path: Path) -> Lease | None:
    """The lease as it stands; without a name where its holder is about to write it, None where there is none."""
    try:
        found = path.stat()
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    beat = (found.st_ino, found.st_mtime_ns)
    try:
        content: dict[str, Any] = json.loads(text)
        return Lease(
            beat,
            host=str(content["host"]),
            pid=int(content["pid"]),
            job=content.get("job"),
            kernel=content.get("kernel"),
            namespace=content.get("namespace"),
            started=content.get("started"),
            flock=bool(content.get("flock")),
            expiry=float(content.get("expiry", EXPIRY_SECONDS)),
        )
    except (ValueError, KeyError, TypeError):
        return Lease(beat)


def write_lease(descriptor: int, *, flock: bool) -> None:
    """Name this process in an open, empty lease; ``flock``: whether it excludes other hosts by that too."""
    described = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "job": job(),
        "kernel": kernel(),
        "namespace": namespace(),
        "started": started(os.getpid()),
        "flock": flock,
        "expiry": expiry(),
    }
    os.write(descriptor, json.dumps(described).encode())
    os.fsync(descriptor)


def verdict(known: Lease, *, flock: bool, shared: bool) -> bool | None:
    """Whether the lease's holder lives, given that we have the flock where ``flock`` works; None: time has to tell."""
    if known.pid is None:
        return None
    if known.kernel == kernel():
        if known.namespace == namespace():
            return started(known.pid) is not None and started(known.pid) == known.started
        return False if flock and known.flock else None
    return False if flock and shared and known.flock else None


class Heartbeat:
    """Touches a lease until :meth:`end`. A process that stood still for so long that another host took the lock over
    (suspended, or its disk hung) ends at once: its files belong to the other."""

    def __init__(self, lease: Path, descriptor: int) -> None:
        self._lease, self._descriptor = lease, descriptor
        self._pid = os.getpid()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat of {lease.name}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        if os.getpid() == self._pid:  # a fork has no thread to wait for
            self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(expiry() / BEATS):
            with suppress(OSError):  # a disk that is away for a moment; the next beat tries again
                os.utime(self._descriptor)
            try:
                lost = not same_file(self._descriptor, self._lease) and not self._ended.is_set()
            except OSError:
                continue
            if lost and (other := read_lease(self._lease)) is not None:
                print(
                    f"error: {self._lease}: the lock went to {other}, because this process gave no sign of life for "
                    f"{expiry():.0f} s; it ends here, and the same command goes on once the lock is free",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(EXIT_LOST)


def same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def age(path: Path, descriptor: int | None) -> float:
    """Seconds since a file was touched, by the clock that its file system stamps files with; 0 where it is gone."""
    try:
        touched = path.stat().st_mtime
        if descriptor is None:
            return time.time() - touched
        os.utime(descriptor)
        return os.fstat(descriptor).st_mtime - touched
    except OSError:
        return 0.0
