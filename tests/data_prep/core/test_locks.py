"""One holder at a time, on one host and on several, with flock and without; and a dead holder is found out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_prep.core import filesystems, leases, locks
from data_prep.core.filesystems import file_system_of

ROOT = Path(__file__).resolve().parents[3]
EXPIRY = 1.5
ERRORS = {"ENOSYS": 38, "ENOLCK": 37, "EOPNOTSUPP": 95}
SHIM = """
#include <errno.h>
#include <stdlib.h>
int flock(int descriptor, int operation) { errno = atoi(getenv("FLOCK_ERRNO")); return -1; }
"""
HOLDER = """
import sys, time
from pathlib import Path
from data_prep.core import leases, locks
lock, seconds, host = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
if host:
    leases.kernel = lambda: host
    leases.socket.gethostname = lambda: host
try:
    with locks.locked(lock.with_suffix("")):
        print("held", flush=True)
        time.sleep(seconds)
        print("alone", flush=True)
except locks.Held as other:
    print("refused:", other, flush=True)
"""


@pytest.fixture(scope="session")
def no_flock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes every flock fail, for LD_PRELOAD."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc)")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "flock.c").write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "flock.so", folder / "flock.c"], check=True)
    return folder / "flock.so"


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "store" / "run.lock"
    # whoever ended in order left no lease, and nobody left a half-done takeover
    assert not list(tmp_path.glob("store/*.takeover"))


def start(
    lock: Path, seconds: float = 60, host: str = "", shim: Path | None = None, error: str = "ENOSYS"
) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LRPE_LOCK_EXPIRY": str(EXPIRY)}
    if shim is not None:
        environment |= {"LD_PRELOAD": str(shim), "FLOCK_ERRNO": str(ERRORS[error])}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(lock), str(seconds), host],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("error", [None, *ERRORS])
def test_a_second_process_is_refused_and_the_holder_named(lock: Path, no_flock: Path, error: str | None) -> None:
    shim = {"shim": no_flock, "error": error} if error else {}
    holder = start(lock, **shim)
    assert first_line(holder) == "held"
    second = start(lock, **shim)
    assert first_line(second).startswith(f"refused: process {holder.pid} on ")
    end(holder, second)


@pytest.mark.parametrize("error", ERRORS)
def test_the_file_system_without_flock_is_named_once(lock: Path, no_flock: Path, error: str) -> None:
    out, said = start(lock, seconds=0, shim=no_flock, error=error).communicate(timeout=30)
    assert out == "held\nalone\n"
    lock.parent.mkdir(exist_ok=True)
    system = file_system_of(lock.parent)
    assert (
        said.count(f"the {system} has no flock ({os.strerror(ERRORS[error])}): locks there are kept by heartbeats") == 1
    )


def test_a_killed_holder_on_this_host_is_found_out_at_once_without_flock(lock: Path, no_flock: Path) -> None:
    holder = start(lock, shim=no_flock)
    assert first_line(holder) == "held"
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    second = start(lock, seconds=0, shim=no_flock)
    began = time.monotonic()
    assert first_line(second) == "held"
    assert time.monotonic() - began < EXPIRY
    end(second)


def test_another_host_is_refused_for_as_long_as_the_holder_lives(lock: Path, no_flock: Path) -> None:
    holder = start(lock, host="node1", shim=no_flock)
    assert first_line(holder) == "held"
    for _ in range(2):
        second = start(lock, host="node2", shim=no_flock)
        assert first_line(second) == f"refused: process {holder.pid} on node1"
        end(second)
        time.sleep(EXPIRY)
    end(holder)


def test_a_dead_holder_on_another_host_blocks_no_longer_than_its_expiry(lock: Path, no_flock: Path) -> None:
    holder = start(lock, host="node1", shim=no_flock)
    assert first_line(holder) == "held"
    end(holder)
    second = start(lock, seconds=0, host="node2", shim=no_flock)
    began = time.monotonic()
    assert first_line(second) == "held"
    assert EXPIRY / 4 < time.monotonic() - began < EXPIRY + 3, "the expiry, and the start of an interpreter"
    second.communicate()


def test_of_several_hosts_that_find_a_dead_holder_one_takes_over(lock: Path, no_flock: Path) -> None:
    holder = start(lock, host="node0", shim=no_flock)
    assert first_line(holder) == "held"
    end(holder)
    others = [start(lock, seconds=5, host=f"node{number}", shim=no_flock) for number in range(1, 6)]
    said = [first_line(other) for other in others]
    assert said.count("held") == 1, said
    assert sum(line.startswith("refused: process") for line in said) == 4, said
    end(*others)


def test_a_holder_that_stood_still_ends_when_another_host_has_taken_over(lock: Path, no_flock: Path) -> None:
    holder = start(lock, seconds=20, host="node1", shim=no_flock)
    assert first_line(holder) == "held"
    holder.send_signal(signal.SIGSTOP)
    second = start(lock, host="node2", shim=no_flock)
    assert first_line(second) == "held"
    holder.send_signal(signal.SIGCONT)
    out, said = holder.communicate(timeout=10)
    assert holder.returncode == leases.EXIT_LOST
    assert "alone" not in out
    assert f"the lock went to process {second.pid} on node2" in said
    assert json.loads(lock.with_suffix(".holder.json").read_text())["host"] == "node2", "the other's lease is untouched"
    end(second)


def test_a_lease_excludes_other_hosts_even_where_flock_would_let_them_in(lock: Path) -> None:
    """An NFS client with local_lock: flock succeeds on each host."""
    holder = start(lock, host="node1")
    assert first_line(holder) == "held"
    lock.unlink()  # the other host's flock is on a file of its own, so to speak
    lease = lock.with_suffix(".holder.json")
    content = json.loads(lease.read_text())
    with lease.open("r+") as file:  # the same file: its holder goes on touching it
        file.write(json.dumps({**content, "flock": False}) + " " * 9)
    second = start(lock, host="node2")
    assert first_line(second) == f"refused: process {holder.pid} on node1"
    end(holder, second)


def test_who_looks_at_a_lock_never_waits(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, lease = lock.with_suffix(""), lock.with_suffix(".holder.json")
    assert not locks.is_locked(run)
    holder = start(lock, host="node1")
    assert first_line(holder) == "held"
    assert locks.is_locked(run)
    end(holder)
    monkeypatch.setattr(locks, "verdict", lambda *_, **__: None)  # as for a host whose flock says nothing
    assert locks.is_locked(run), "its last sign of life is not old enough"
    old = time.time() - 2 * EXPIRY
    os.utime(lease, (old, old))
    assert not locks.is_locked(run)


MOUNTS = r"""
20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 20 0:40 / {root}/home rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2,local_lock=none,addr=10.0.0.1
32 20 0:41 / {root}/scratch rw,relatime shared:3 - nfs server:/scratch rw,vers=3,local_lock=all,addr=10.0.0.1
33 20 0:42 / {root}/lustre rw,relatime shared:4 - lustre 10.0.0.2@tcp:/fs rw,lazystatfs,flock
34 20 0:43 / {root}/old\040lustre rw shared:5 - lustre 10.0.0.2@tcp:/fs rw,localflock
35 20 0:44 / {root}/fuse rw shared:6 - fuse.sshfs me@there: rw
"""


@pytest.mark.parametrize(
    ("folder", "kind", "shared"),
    [
        (".", "ext4", True),
        ("home/me", "nfs4", True),
        ("scratch", "nfs", False),
        ("lustre/runs", "lustre", True),
        ("old lustre", "lustre", False),
        ("fuse", "fuse.sshfs", False),
    ],
)
def test_which_file_systems_pass_flock_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, kind: str, shared: bool
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.strip().replace("{root}", str(tmp_path)))
    monkeypatch.setattr(filesystems, "MOUNTS", mounts)
    system = file_system_of(tmp_path / folder)
    assert (system.kind, system.flock_is_shared) == (kind, shared)
