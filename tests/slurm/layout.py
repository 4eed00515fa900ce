"""What the cluster under test consists of, and its ``slurm.conf``."""

from __future__ import annotations

import socket
from pathlib import Path

STATE = Path("/var/tmp/lrpe-slurm")
CONFIG = Path("/etc/slurm/slurm.conf")
MARK = "# written by tests/slurm"
CONTROLLER = "10.77.0.1"
NODES = {f"n{number}": (f"hs{number}", f"10.77.0.1{number}") for number in (1, 2, 3, 4)}  # namespace, address
GPU, SPOT = ("n1", "n2"), ("n3", "n4")  # partitions' nodes
CPUS = 4  # a node; more than the machine may have
GRACE_SECONDS = 45  # a preempted job's, and KillWait: a run on busy cores needs seconds for its checkpoint
REQUEUE_SECONDS = 20  # SLURM's default is 120


def slurm_conf(*, accounting: bool) -> str:
    """The file's text; ``accounting``: whether there is a slurmdbd."""
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
