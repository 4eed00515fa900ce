"""A SLURM of two nodes on this machine: ``python -m tests.slurm.cluster up`` and ``... down``.

Each node is a network and UTS namespace of its own (host name, address, ports) on a bridge, with a slurmd of its own.
A job in partition ``short`` preempts those in ``gpu`` (SIGCONT and SIGTERM, SIGKILL :data:`GRACE_SECONDS` later,
requeue). Needs root, network namespaces and Debian's packages (:data:`PACKAGES`); :func:`obstacle` says what lacks.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PACKAGES = ("slurm-wlm", "slurmctld", "slurmd", "munge", "iproute2")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "ip", "unshare", "nsenter", "setpriv")
STATE = Path("/var/tmp/lrpe-slurm")
CONFIG = Path("/etc/slurm/slurm.conf")
MUNGE_PID = Path("/run/munge/munged.pid")
MARK = "# written by tests/slurm/cluster.py"
BRIDGE, CONTROLLER = "hsbr", "10.77.0.1"
NODES = {"n1": ("hsA", "10.77.0.11"), "n2": ("hsB", "10.77.0.12")}
CPUS = 4  # a node; more than the machine may have
GRACE_SECONDS = 45  # a preempted job's, and KillWait: a run on busy cores needs seconds for its checkpoint
REQUEUE_SECONDS = 20  # SLURM's default is 120
START_SECONDS = 40


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
            ["sinfo", "-h", "-N", "-p", "gpu", "-o", "%T"], capture_output=True, text=True, check=False, timeout=20
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
    for folder in ("state", "spool-n1", "spool-n2", "log", "run"):
        (STATE / folder).mkdir(parents=True, exist_ok=True)
    CONFIG.parent.mkdir(exist_ok=True)
    CONFIG.write_text(_config(), encoding="utf-8")
    _make_network()
    _start_munge()
    _run("slurmctld")
    for node, (namespace, _) in NODES.items():
        # not `ip netns exec`: its new /sys has no cgroups, for which slurmd looks even where it uses none
        inside = f"hostname {node}; mount --bind /etc/netns/{namespace}/hosts /etc/hosts; "
        inside += f"exec nsenter --net=/run/netns/{namespace} slurmd -N {node}"
        _run("unshare", "--uts", "--mount", "sh", "-c", inside)
    deadline = time.monotonic() + START_SECONDS
    while not is_up():
        if time.monotonic() > deadline:
            raise ClusterError(f"the nodes are not idle after {START_SECONDS} s; see {STATE}/log")
        time.sleep(0.5)


def down() -> None:
    """Stop the daemons, remove the namespaces and the state; what is not there is passed over."""
    _quietly("scancel", "-u", "root")
    pids = [path for path in [*STATE.glob("run/*.pid"), MUNGE_PID] if path.exists()]
    for path in pids:
        with suppress(ValueError, ProcessLookupError):
            os.kill(int(path.read_text()), signal.SIGTERM)
    deadline = time.monotonic() + START_SECONDS
    while any(path.exists() for path in pids) and time.monotonic() < deadline:
        time.sleep(0.2)
    for namespace, _ in NODES.values():
        _quietly("ip", "netns", "del", namespace)
        shutil.rmtree(f"/etc/netns/{namespace}", ignore_errors=True)
    _quietly("ip", "link", "del", BRIDGE)
    if CONFIG.exists() and MARK in CONFIG.read_text(encoding="utf-8"):
        CONFIG.unlink()
    shutil.rmtree(STATE, ignore_errors=True)


def _config() -> str:
    nodes = "\n".join(
        f"NodeName={node} NodeAddr={address} CPUs={CPUS} RealMemory=8000 State=UNKNOWN"
        for node, (_, address) in NODES.items()
    )
    names = ",".join(NODES)
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
AccountingStorageType=accounting_storage/none
MpiDefault=none
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
JobRequeue=1
KillWait={GRACE_SECONDS}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{nodes}
PartitionName=gpu Nodes={names} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE \
GraceTime={GRACE_SECONDS}
PartitionName=short Nodes={names} MaxTime=10 State=UP PriorityTier=10 PreemptMode=OFF
"""


def _make_network() -> None:
    _quietly("ip", "link", "add", BRIDGE, "type", "bridge")
    _quietly("ip", "addr", "add", f"{CONTROLLER}/24", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")
    hosts = "\n".join(f"{address} {node}" for node, (_, address) in NODES.items())
    for namespace, address in NODES.values():
        outer = f"{BRIDGE}{namespace[-1]}"
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


def _start_munge() -> None:
    folders = ["/run/munge", "/var/log/munge", "/var/lib/munge"]
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
        shutil.chown(folder, "munge", "munge")
    if MUNGE_PID.exists() and _alive(int(MUNGE_PID.read_text())):
        return
    _run("setpriv", "--reuid", "munge", "--regid", "munge", "--clear-groups", "munged", "--force")


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _run(*command: str) -> None:
    # daemons keep their parent's output open, so it must be a file and no pipe
    with open(STATE / "log" / "start.log", "ab") as log:
        code = subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=False).returncode
    if code:
        raise ClusterError(f"{' '.join(command)}: exit code {code}; see {STATE}/log/start.log")


def _quietly(*command: str) -> None:
    with suppress(OSError):
        subprocess.run(command, capture_output=True, check=False, timeout=60)


def main(words: list[str]) -> int:
    if words not in (["up"], ["down"]):
        print(__doc__)
        return 2
    try:
        up() if words == ["up"] else down()
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
