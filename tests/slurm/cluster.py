"""A SLURM of two nodes on this machine: ``python -m tests.slurm.cluster install``, ``up`` and ``down``.

Each node is a network and UTS namespace of its own (host name, address, ports, boot id) on a bridge, with a slurmd of
its own. A job in partition ``short`` preempts those in ``gpu`` (SIGCONT and SIGTERM, SIGKILL :data:`GRACE_SECONDS`
later, requeue). Two more nodes make up partition ``spot``, where one test's preemption leaves the others' jobs alone.
Needs root, network namespaces and Debian's packages (:data:`PACKAGES`); :func:`obstacle` says what lacks. Where
:data:`ACCOUNTING_PACKAGES` are installed too, ``sacct`` works, and :func:`without_accounting` gives a command the view
of a site that keeps none.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PACKAGES = ("slurm-wlm", "slurmctld", "slurmd", "munge", "iproute2")
ACCOUNTING_PACKAGES = ("mariadb-server", "slurmdbd")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "ip", "unshare", "nsenter", "setpriv")
ACCOUNTING_PROGRAMS = ("mariadb", "mariadbd", "mariadb-install-db", "slurmdbd")
STATE = Path("/var/tmp/lrpe-slurm")
CONFIG = Path("/etc/slurm/slurm.conf")
DATABASE_CONFIG = CONFIG.with_name("slurmdbd.conf")
DATABASE_SOCKET = STATE / "run" / "mariadb.sock"
MUNGE_PID = Path("/run/munge/munged.pid")
MARK = "# written by tests/slurm/cluster.py"
BRIDGE, CONTROLLER = "hsbr", "10.77.0.1"
NODES = {f"n{number}": (f"hs{number}", f"10.77.0.1{number}") for number in (1, 2, 3, 4)}
GPU, SPOT = ("n1", "n2"), ("n3", "n4")  # partitions' nodes
CPUS = 4  # a node; more than the machine may have
GRACE_SECONDS = 45  # a preempted job's, and KillWait: a run on busy cores needs seconds for its checkpoint
REQUEUE_SECONDS = 20  # SLURM's default is 120
START_SECONDS = 60
STOP_SECONDS = 15


class ClusterError(Exception):
    """The cluster did not come up; the message says which step failed."""


def obstacle() -> str | None:
    """Why no cluster can be set up here, or None."""
    if os.geteuid() != 0:
        return "needs root (network namespaces, slurmd)"
    if lacking := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"no {', '.join(lacking)} (apt-get install --no-install-recommends {' '.join(PACKAGES)})"
    if CONFIG.exists() and MARK not in CONFIG.read_text(encoding="utf-8"):
        return f"{CONFIG} belongs to another cluster"
    if subprocess.run(["unshare", "--net", "--uts", "--mount", "true"], capture_output=True, check=False).returncode:
        return "namespaces are not allowed here"
    return None


def is_up() -> bool:
    """Whether both nodes accept jobs."""
    if not CONFIG.exists() or shutil.which("sinfo") is None:
        return False
    try:
        shown = subprocess.run(
            ["sinfo", "-h", "-N", "-p", "short", "-o", "%T"], capture_output=True, text=True, check=False, timeout=20
        )
    except subprocess.TimeoutExpired:
        return False
    states = shown.stdout.split()
    return len(states) == len(NODES) and set(states) <= {"idle", "mixed", "allocated", "completing"}


def up() -> None:
    """Start the cluster, unless it runs.

    Raises:
        ClusterError: a step failed; what was started is left for :func:`down`.
    """
    if is_up():
        return
    if reason := obstacle():
        raise ClusterError(reason)
    for folder in ("state", *(f"spool-{node}" for node in NODES), "log", "run"):
        (STATE / folder).mkdir(parents=True, exist_ok=True)
    CONFIG.parent.mkdir(exist_ok=True)
    (STATE / "no-accounting.conf").write_text(_config(accounting=False), encoding="utf-8")
    _make_network()
    _start_munge()
    CONFIG.write_text(_config(accounting=True), encoding="utf-8")
    try:
        _start_accounting()
    except ClusterError as error:
        print(f"a cluster without accounting: {error}", file=sys.stderr)
        CONFIG.write_text(_config(accounting=False), encoding="utf-8")
    _run("slurmctld")
    for node, (namespace, _) in NODES.items():
        # not `ip netns exec`: its new /sys has no cgroups, for which slurmd looks even where it uses none
        inside = f"hostname {node}; mount --bind /etc/netns/{namespace}/hosts /etc/hosts; "
        inside += f"mount --bind /etc/netns/{namespace}/boot_id /proc/sys/kernel/random/boot_id; "
        inside += f"exec nsenter --net=/run/netns/{namespace} slurmd -N {node}"
        _run("unshare", "--uts", "--mount", "sh", "-c", inside)
    _until(is_up, f"the nodes are not idle; see {STATE}/log")


def keeps_accounts() -> bool:
    """Whether the cluster has accounting."""
    return CONFIG.exists() and "accounting_storage/slurmdbd" in CONFIG.read_text(encoding="utf-8")


def without_accounting() -> dict[str, str]:
    """The environment of a command to which this cluster keeps no accounts: its ``sacct`` fails."""
    return {"SLURM_CONF": str(STATE / "no-accounting.conf")}


def down() -> None:
    """Stop the daemons, remove the namespaces and the state; what is not there is passed over."""
    _quietly("scancel", "-u", "root")
    daemons = [pid for path in [*STATE.glob("run/*.pid"), MUNGE_PID] if (pid := _pid_in(path)) is not None]
    daemons += [pid for namespace, _ in NODES.values() for pid in _processes_in(namespace)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in daemons:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + STOP_SECONDS
        while any(_alive(pid) for pid in daemons) and time.monotonic() < deadline:
            time.sleep(0.2)
    for namespace, _ in NODES.values():
        _quietly("ip", "link", "del", _outer(namespace))  # the kernel removes a namespace's own end only later
        _quietly("ip", "netns", "del", namespace)
        shutil.rmtree(f"/etc/netns/{namespace}", ignore_errors=True)
    _quietly("ip", "link", "del", BRIDGE)
    for path in (CONFIG, DATABASE_CONFIG):
        if path.exists() and MARK in path.read_text(encoding="utf-8"):
            path.unlink()
    shutil.rmtree(STATE, ignore_errors=True)


def logs() -> str:
    """The ends of the daemons' logs, for a person who has to find out why there is no cluster."""
    paths = sorted((STATE / "log").glob("*.log"))
    return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-1000:]}" for path in paths)


def _config(*, accounting: bool) -> str:
    nodes = "\n".join(
        f"NodeName={node} NodeAddr={address} CPUs={CPUS} RealMemory=8000 State=UNKNOWN"
        for node, (_, address) in NODES.items()
    )
    kept = "slurmdbd\nAccountingStorageHost=localhost" if accounting else "none"
    gpu, spot = ",".join(GPU), ",".join(SPOT)
    return f"""{MARK}
ClusterName=test
SlurmctldHost={socket.gethostname()}({CONTROLLER})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire={REQUEUE_SECONDS}
CredType=cred/munge
StateSaveLocation={STATE}/state
SlurmdSpoolDir={STATE}/spool-%n
SlurmctldPidFile={STATE}/run/slurmctld.pid
SlurmdPidFile={STATE}/run/slurmd-%n.pid
SlurmctldLogFile={STATE}/log/slurmctld.log
SlurmdLogFile={STATE}/log/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/{kept}
MpiDefault=none
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
JobRequeue=1
MinJobAge=10
KillWait={GRACE_SECONDS}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=gpu Nodes={gpu} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE \
GraceTime={GRACE_SECONDS}
PartitionName=spot Nodes={spot} MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime={GRACE_SECONDS}
PartitionName=short Nodes={gpu},{spot} MaxTime=10 State=UP PriorityTier=10 PreemptMode=OFF
"""


def _make_network() -> None:
    _quietly("ip", "link", "add", BRIDGE, "type", "bridge")
    _quietly("ip", "addr", "add", f"{CONTROLLER}/24", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")
    hosts = "\n".join(f"{address} {node}" for node, (_, address) in NODES.items())
    for namespace, address in NODES.values():
        outer = _outer(namespace)
        _quietly("ip", "netns", "add", namespace)
        _quietly("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _run("ip", "link", "set", outer, "master", BRIDGE, "up")
        _quietly("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        _run("ip", "-n", namespace, "link", "set", "eth0", "up")
        _run("ip", "-n", namespace, "link", "set", "lo", "up")
        folder = Path("/etc/netns", namespace)
        folder.mkdir(parents=True, exist_ok=True)
        text = f"127.0.0.1 localhost\n{CONTROLLER} {socket.gethostname()}\n{hosts}\n"
        (folder / "hosts").write_text(text, encoding="utf-8")
        (folder / "boot_id").write_text(f"{uuid.uuid4()}\n", encoding="utf-8")


def _outer(namespace: str) -> str:
    """The end of a node's cable that lies outside of it."""
    return f"{BRIDGE}{namespace[-1]}"


def _start_munge() -> None:
    folders = ["/run/munge", "/var/log/munge", "/var/lib/munge"]
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
        shutil.chown(folder, "munge", "munge")
    if (running := _pid_in(MUNGE_PID)) is not None and _alive(running):
        return
    _run("setpriv", "--reuid", "munge", "--regid", "munge", "--clear-groups", "munged", "--force")


def _start_accounting() -> None:
    if lacking := [name for name in ACCOUNTING_PROGRAMS if shutil.which(name) is None]:
        raise ClusterError(f"no {', '.join(lacking)}")
    database, run = STATE / "database", STATE / "run"
    log = STATE / "log" / "mariadbd.log"
    if not database.exists():
        database.mkdir()
        shutil.chown(database, "mysql", "mysql")
        words = [f"--datadir={database}", "--auth-root-authentication-method=socket", "--skip-test-db"]
        _run("env", "-u", "TMPDIR", "mariadb-install-db", "--no-defaults", "--user=mysql", *words)
    shutil.chown(run, "mysql", "mysql")
    words = ["--user=mysql", "--skip-networking", f"--socket={DATABASE_SOCKET}", f"--pid-file={run}/mariadbd.pid"]
    with open(log, "ab") as out:
        subprocess.Popen(
            ["env", "-u", "TMPDIR", "mariadbd", "--no-defaults", f"--datadir={database}", *words],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    statement = "create database if not exists slurm; grant all on slurm.* to root@localhost"
    _until(lambda: _succeeds("mariadb", f"--socket={DATABASE_SOCKET}", "-e", statement), f"no database; see {log}")
    DATABASE_CONFIG.write_text(
        f"""{MARK}
AuthType=auth/munge
DbdHost=localhost
SlurmUser=root
LogFile={STATE}/log/slurmdbd.log
PidFile={run}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
""",
        encoding="utf-8",
    )
    DATABASE_CONFIG.chmod(0o600)
    # its MySQL client looks for the socket where this says
    _run("env", f"MYSQL_UNIX_PORT={DATABASE_SOCKET}", "slurmdbd")
    _until(lambda: _succeeds("sacctmgr", "-n", "show", "cluster"), f"no slurmdbd; see {STATE}/log/slurmdbd.log")
    for words in (["cluster", "test"], ["account", "lab"], ["user", "root", "account=lab"]):
        _quietly("sacctmgr", "-i", "add", *words)


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _until(reached: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise ClusterError(f"{otherwise} (after {START_SECONDS} s)")
        time.sleep(0.5)


def _processes_in(namespace: str) -> list[int]:
    """A node's daemon, and what is left of its jobs."""
    found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def _pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _alive(pid: int) -> bool:
    """Whether a process runs; a zombie, for which nobody waits in a container, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _run(*command: str) -> None:
    # daemons keep their parent's output open, so it must be a file and no pipe
    with open(STATE / "log" / "start.log", "ab") as log:
        code = subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=False).returncode
    if code:
        raise ClusterError(f"{' '.join(command)}: exit code {code}; see {STATE}/log/start.log")


def _quietly(*command: str) -> None:
    with suppress(OSError):
        subprocess.run(command, capture_output=True, check=False, timeout=300)


def install() -> None:
    """Install Debian's packages where that is possible; :func:`obstacle` says what lacks then."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    lacking += [name for name in ACCOUNTING_PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0 or shutil.which("apt-get") is None or not lacking:
        return
    for words in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES, *ACCOUNTING_PACKAGES]):
        _quietly("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", *words)


def main(words: list[str]) -> int:
    steps = {"install": install, "up": up, "down": down}
    if len(words) != 1 or words[0] not in steps:
        print(__doc__)
        return 2
    try:
        steps[words[0]]()
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
