"""A lock between processes and between hosts, whatever the file system makes of ``flock``.

Two files beside what is locked make one lock. ``flock`` on ``<name>.lock`` excludes the other processes of this kernel,
and on a file system that shares it those of other hosts; the kernel lets go of it when its holder dies. The lease,
``<name>.holder.json``, says who holds the lock (host, process, SLURM job) and is touched every few seconds (the
heartbeat, :mod:`data_prep.core.leases`). Where ``flock`` is missing or does not reach other hosts (NFS mounted with
``local_lock``, Lustre without ``flock``), a lease excludes them until it has stood still for its expiry.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_prep.core.filesystems import FileSystem, file_system_of
from data_prep.core.leases import (
    BEATS,
    EXPIRY_VARIABLE,
    Heartbeat,
    Lease,
    age,
    expiry,
    read_lease,
    same_file,
    verdict,
    write_lease,
)

LOOK_SECONDS = 0.05
NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
TAKEN = (errno.EACCES, errno.EAGAIN)

_missing: dict[int, int] = {}  # st_dev of file systems without flock: the errno
_told: set[int] = set()


class Held(Exception):
    """Another process holds the lock: ``by`` names it."""

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by


def lock_file(path: Path) -> Path:
    """The file for ``flock``; it stays."""
    return path.with_name(path.name + ".lock")


def holder_file(path: Path) -> Path:
    """The lease; it is removed at the end."""
    return path.with_name(path.name + ".holder.json")


@contextmanager
def locked(path: Path, *, patience: float = 0.0, wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of ``path`` for this process while the context lasts; every thread that asks for it counts as
    another process.

    Args:
        path: what is locked, which need not exist.
        patience: seconds to go on trying while a live process holds it.
        wait: called once with the holder's name; then the lock is waited for without end.

    Raises:
        Held: a live process holds it, and ``wait`` is None. To find out that a silent holder on another host is dead
            takes as long as its expiry at most.
        OSError: the files cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    attempt = _Attempt(lock_file(path), holder_file(path))
    deadline = time.monotonic() + patience
    try:
        while not attempt.once():
            if not attempt.watching and time.monotonic() >= deadline:
                if wait is None:
                    raise Held(holder_of(path))
                wait(holder_of(path))
                deadline = float("inf")
            time.sleep(LOOK_SECONDS)
        beating = Heartbeat(holder_file(path), attempt.claim())
        try:
            yield
        finally:
            beating.end()
    finally:
        attempt.release()


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of ``path`` now; True where it cannot be tried (somebody else's folder). Never
    waits."""
    lock, lease = lock_file(path), holder_file(path)
    if not lock.exists() and not lease.exists():
        return False
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT, 0o666)
    except OSError:
        return True
    try:
        works = _flock(descriptor, lock)
        if works is False:
            return True
        known = read_lease(lease)
        if known is None:
            return False
        lives = verdict(known, flock=works is True, shared=file_system_of(lock.parent).flock_is_shared)
        if lives is not None:
            return lives
        return age(lease, descriptor) < known.expiry
    except OSError:
        return True
    finally:
        os.close(descriptor)


def holder_of(path: Path) -> str:
    """Who holds the lock of ``path``, for a person: process, host and job."""
    for _ in range(20):
        known = read_lease(holder_file(path))
        if known is not None and known.pid is not None:
            return str(known)
        time.sleep(LOOK_SECONDS)  # the holder names itself just after it takes the lock
    return "another process"


class _Attempt:
    """Trying to take one lock; :attr:`watching` while a silent holder's expiry runs."""

    def __init__(self, lock: Path, lease: Path) -> None:
        self._lock, self._lease = lock, lease
        self._descriptor: int | None = None
        self._works = False
        self._seen: tuple[tuple[int, int], float] | None = None
        self._system = file_system_of(lock.parent)
        self._own: int | None = None
        self.watching = False

    def once(self) -> bool:
        """Take the lock now; whether that went well."""
        self.watching = False
        if self._descriptor is None and not self._take_flock():
            return False
        known = read_lease(self._lease)
        if known is not None and self._alive(known):
            self._drop_flock()
            return False
        if known is not None and not self._remove(known):
            return False
        try:
            self._own = os.open(self._lease, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            self._drop_flock()
            return False
        return True

    def claim(self) -> int:
        """Write the name into the lease; its open descriptor."""
        assert self._own is not None
        write_lease(self._own, flock=self._works and self._system.flock_is_shared)
        return self._own

    def release(self) -> None:
        if self._own is not None:
            with suppress(OSError):
                if os.fstat(self._own).st_ino == self._lease.stat().st_ino:
                    self._lease.unlink()
            os.close(self._own)
            self._own = None
        self._drop_flock()

    def _take_flock(self) -> bool:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            works = _flock(descriptor, self._lock)
            # its last holder may have removed the file, and another have made it anew
            if works is False or (works and not same_file(descriptor, self._lock)):
                os.close(descriptor)
                return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor, self._works = descriptor, bool(works)
        if not (self._works and self._system.flock_is_shared):
            _tell(descriptor, self._system)
        return True

    def _drop_flock(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _alive(self, known: Lease) -> bool:
        lives = verdict(known, flock=self._works, shared=self._system.flock_is_shared)
        if lives is not None:
            return lives
        now = time.monotonic()
        if self._seen is None:
            # A lease that is old by the file system's own clock is watched for two heartbeats, in case that lies.
            old = max(age(self._lease, self._descriptor), 0.0)
            self._seen = (known.beat, now - min(old, known.expiry * (1 - 2 / BEATS)))
        elif self._seen[0] != known.beat:
            self._seen = (known.beat, now)
            return True
        self.watching = now - self._seen[1] < known.expiry
        return self.watching

    def _remove(self, known: Lease) -> bool:
        """Remove a dead holder's lease; one process at a time, so that none removes its successor's."""
        guard = self._lease.with_name(self._lease.name + ".takeover")
        try:
            os.close(os.open(guard, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        except FileExistsError:
            if age(guard, self._descriptor) > known.expiry:  # who made it died between two system calls
                guard.unlink(missing_ok=True)
            return False
        try:
            again = read_lease(self._lease)
            if again is not None and again.beat == known.beat:
                self._lease.unlink(missing_ok=True)
                return True
            return again is None
        finally:
            guard.unlink(missing_ok=True)


def _flock(descriptor: int, path: Path) -> bool | None:
    """True: taken; False: somebody else has it; None: this file system has no flock, which is tried once for each."""
    device = os.fstat(descriptor).st_dev
    if device in _missing:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        if error.errno not in NO_FLOCK:
            raise OSError(error.errno, f"{error.strerror} (flock on the {file_system_of(path.parent)})", path) from None
        _missing[device] = error.errno
        return None
    return True


def _tell(descriptor: int, system: FileSystem) -> None:
    """Say once a file system that its flock is not what excludes other hosts."""
    device = os.fstat(descriptor).st_dev
    if device in _told:
        return
    _told.add(device)
    number = _missing.get(device)
    why = f"has no flock ({os.strerror(number)})" if number else "may not pass flock on to other hosts"
    print(
        f"the {system} {why}: locks there are kept by heartbeats, and one whose holder died on another host is free "
        f"after {expiry():.0f} s ({EXPIRY_VARIABLE})",
        file=sys.stderr,
        flush=True,
    )
