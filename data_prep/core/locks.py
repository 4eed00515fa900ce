"""A lock between processes and between hosts, whatever the file system makes of ``flock``.

Two files make one lock. ``flock`` on the first excludes the other processes of this kernel, and on a file system that
shares it those of other hosts; the kernel lets go of it when its holder dies. The second, the lease, says who holds the
lock (host, process, SLURM job) and is touched every few seconds (the heartbeat). Where ``flock`` is missing or does not
reach other hosts (NFS mounted with ``local_lock``, Lustre without ``flock``), a lease excludes them until it has stood
still for its expiry. No host's clock is compared with another's: whoever wants the lock watches the lease.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.core.filesystems import FileSystem, file_system_of

EXPIRY_VARIABLE = "LRPE_LOCK_EXPIRY"
EXPIRY_SECONDS = 60.0
BEATS = 6  # heartbeats within an expiry: one that comes late costs nothing
LOOK_SECONDS = 0.05
NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
TAKEN = (errno.EACCES, errno.EAGAIN)
EXIT_LOST = 75  # sysexits' EX_TEMPFAIL: the same command goes on, once the lock is free

_missing: dict[int, int] = {}  # st_dev of file systems without flock: the errno
_told: set[int] = set()


class Held(Exception):
    """Another process holds the lock: ``by`` names it."""

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by


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


def kernel() -> str:
    """The running kernel; containers of one machine share it, two machines never do."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return socket.gethostname()


@contextmanager
def locked(
    lock: Path, lease: Path, *, patience: float = 0.0, wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lock for this process while the context lasts; every thread that asks for it counts as another process.

    Args:
        lock: the file for ``flock``; it stays.
        lease: the file that names the holder; it is removed at the end.
        patience: seconds to go on trying while a live process holds it.
        wait: called once with the holder's name; then the lock is waited for without end.

    Raises:
        Held: a live process holds it, and ``wait`` is None. To find out that a silent holder on another host is dead
            takes as long as its expiry at most.
        OSError: the files cannot be written.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    attempt = _Attempt(lock, lease)
    deadline = time.monotonic() + patience
    try:
        while not attempt.once():
            if not attempt.watching and time.monotonic() >= deadline:
                if wait is None:
                    raise Held(holder_of(lease))
                wait(holder_of(lease))
                deadline = float("inf")
            time.sleep(LOOK_SECONDS)
        beating = _Heartbeat(lease, attempt.claim())
        try:
            yield
        finally:
            beating.end()
    finally:
        attempt.release()


def is_locked(lock: Path, lease: Path) -> bool:
    """Whether a process holds the lock now; True where it cannot be tried (somebody else's folder). Never waits."""
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
        verdict = _verdict(known, flock=works is True, shared=file_system_of(lock.parent).flock_is_shared)
        if verdict is not None:
            return verdict
        return _age(lease, descriptor) < known.expiry
    except OSError:
        return True
    finally:
        os.close(descriptor)


def holder_of(lease: Path) -> str:
    """Who holds the lock, for a person: process, host and job."""
    for _ in range(20):
        known = read_lease(lease)
        if known is not None and known.pid is not None:
            return str(known)
        time.sleep(LOOK_SECONDS)  # the holder names itself just after it takes the lock
    return "another process"


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
        described = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "job": _job(),
            "kernel": kernel(),
            "namespace": _namespace(),
            "started": _started(os.getpid()),
            "flock": self._works and self._system.flock_is_shared,
            "expiry": expiry(),
        }
        os.write(self._own, json.dumps(described).encode())
        os.fsync(self._own)
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
            if works is False or (works and not _same_file(descriptor, self._lock)):
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
        verdict = _verdict(known, flock=self._works, shared=self._system.flock_is_shared)
        if verdict is not None:
            return verdict
        now = time.monotonic()
        if self._seen is None:
            # A lease that is old by the file system's own clock is watched for two heartbeats, in case that lies.
            age = _age(self._lease, self._descriptor)
            self._seen = (known.beat, now - min(max(age, 0.0), known.expiry * (1 - 2 / BEATS)))
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
            if _age(guard, self._descriptor) > known.expiry:  # who made it died between two system calls
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


class _Heartbeat:
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
                lost = not _same_file(self._descriptor, self._lease) and not self._ended.is_set()
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


def _verdict(known: Lease, *, flock: bool, shared: bool) -> bool | None:
    """Whether the lease's holder lives, given that we have the flock where ``flock`` works; None: time has to tell."""
    if known.pid is None:
        return None
    if known.kernel == kernel():
        if known.namespace == _namespace():
            return _started(known.pid) is not None and _started(known.pid) == known.started
        return False if flock and known.flock else None
    return False if flock and shared and known.flock else None


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


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _age(path: Path, descriptor: int | None) -> float:
    """Seconds since a file was touched, by the clock that its file system stamps files with; 0 where it is gone."""
    try:
        touched = path.stat().st_mtime
        if descriptor is None:
            return time.time() - touched
        os.utime(descriptor)
        return os.fstat(descriptor).st_mtime - touched
    except OSError:
        return 0.0


def _job() -> str | None:
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array and index else os.environ.get("SLURM_JOB_ID")


def _namespace() -> str | None:
    """What process numbers are relative to: two containers may both have a process 7."""
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return None


def _started(pid: int) -> str | None:
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
