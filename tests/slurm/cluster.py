"""A SLURM of two nodes on this machine: ``python -m tests.slurm.cluster install``, ``up`` and ``down``.

Each node is a network and UTS namespace of its own (host name, address, ports, boot id) on a bridge, with a slurmd of
its own. A job in partition ``short`` preempts those in ``gpu`` (SIGCONT and SIGTERM, SIGKILL ``GRACE_SECONDS``
later, requeue). Two more nodes make up partition ``spot``, where one test's preemption leaves the others' jobs alone.
Needs root, network namespaces and Debian's packages (:data:`PACKAGES`); :func:`obstacle` says what lacks. Where
:data:`ACCOUNTING_PACKAGES` are installed too, ``sacct`` works, and :func:`without_accounting` gives a command the view
of a site that keeps none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.slurm.daemons import ACCOUNTING_PROGRAMS, DATABASE_CONFIG, MUNGE_PID, start_accounting, start_munge
from tests.slurm.layout import CONFIG, MARK, NODES, STATE, slurm_conf
from tests.slurm.network import make_network, processes_in, remove_network
from tests.slurm.processes import ClusterError, end, pid_in, quietly, run, succeeds, until

PACKAGES = ("slurm-wlm", "slurmctld", "slurmd", "munge", "iproute2")
ACCOUNTING_PACKAGES = ("mariadb-server", "slurmdbd")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "ip", "unshare", "nsenter", "setpriv")


def obstacle() -> str | None:
    """Why no cluster can be set up here, or None."""
    if os.geteuid() != 0:
        return "needs root (network namespaces, slurmd)"
    if lacking := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"no {', '.join(lacking)} (apt-get install --no-install-recommends {' '.join(PACKAGES)})"
    if CONFIG.exists() and MARK not in CONFIG.read_text(encoding="utf-8"):
        return f"{CONFIG} belongs to another cluster"
    if not succeeds("unshare", "--net", "--uts", "--mount", "true"):
        return "namespaces are not allowed here"
    links = "ip link add name br0 type bridge && ip link add name ve0 type veth peer name ve1"
    if not succeeds("unshare", "--net", "sh", "-c", links):
        return "this kernel has no bridges or no veth"
    if not os.path.ismount("/sys/fs/cgroup"):
        return "nothing is mounted on /sys/fs/cgroup, for which slurmd looks"
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
    (STATE / "no-accounting.conf").write_text(slurm_conf(accounting=False), encoding="utf-8")
    make_network()
    start_munge()
    CONFIG.write_text(slurm_conf(accounting=True), encoding="utf-8")
    try:
        start_accounting()
    except ClusterError as error:
        print(f"a cluster without accounting: {error}", file=sys.stderr)
        CONFIG.write_text(slurm_conf(accounting=False), encoding="utf-8")
    run("slurmctld")
    for node, (namespace, _) in NODES.items():
        # not `ip netns exec`: its new /sys has no cgroups, for which slurmd looks even where it uses none
        inside = f"hostname {node}; mount --bind /etc/netns/{namespace}/hosts /etc/hosts; "
        inside += f"mount --bind /etc/netns/{namespace}/boot_id /proc/sys/kernel/random/boot_id; "
        inside += f"exec nsenter --net=/run/netns/{namespace} slurmd -N {node}"
        run("unshare", "--uts", "--mount", "sh", "-c", inside)
    until(is_up, f"the nodes are not idle; see {STATE}/log")


def keeps_accounts() -> bool:
    """Whether the cluster has accounting."""
    return CONFIG.exists() and "accounting_storage/slurmdbd" in CONFIG.read_text(encoding="utf-8")


def without_accounting() -> dict[str, str]:
    """The environment of a command to which this cluster keeps no accounts: its ``sacct`` fails."""
    return {"SLURM_CONF": str(STATE / "no-accounting.conf")}


def down() -> None:
    """Stop the daemons, remove the namespaces and the state; what is not there is passed over."""
    quietly("scancel", "-u", "root")
    daemons = [pid for path in [*STATE.glob("run/*.pid"), MUNGE_PID] if (pid := pid_in(path)) is not None]
    daemons += [pid for namespace, _ in NODES.values() for pid in processes_in(namespace)]
    end(daemons)
    remove_network()
    for path in (CONFIG, DATABASE_CONFIG):
        if path.exists() and MARK in path.read_text(encoding="utf-8"):
            path.unlink()
    shutil.rmtree(STATE, ignore_errors=True)


def logs() -> str:
    """The ends of the daemons' logs, for a person who has to find out why there is no cluster."""
    paths = sorted((STATE / "log").glob("*.log"))
    return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-1000:]}" for path in paths)


def install() -> None:
    """Install Debian's packages where that is possible; :func:`obstacle` says what lacks then."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    lacking += [name for name in ACCOUNTING_PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0 or shutil.which("apt-get") is None or not lacking:
        return
    for words in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES, *ACCOUNTING_PACKAGES]):
        quietly("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", *words)


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
