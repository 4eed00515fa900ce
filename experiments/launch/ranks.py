"""Which process of how many: torchrun's variables, or those of a SLURM step (``srun``), without importing torch.

SLURM's are read inside a step only. A batch script has ``SLURM_NTASKS`` and ``SLURM_PROCID`` too, but is one process:
what runs there without ``srun`` is not one of several ranks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

FIRST_PORT, PORTS = 20000, 10000  # below the range from which a system draws ports for outgoing connections


@dataclass(frozen=True)
class Ranks:
    """A process among its peers: ``rank`` of ``world_size``, the ``local_rank``-th of its node."""

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1


def read_ranks(environment: Mapping[str, str] = os.environ) -> Ranks:
    """This process's place: torchrun's WORLD_SIZE, RANK and LOCAL_RANK, else the SLURM step's, else the only one."""
    if "WORLD_SIZE" in environment:
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    elif _in_step(environment):
        names = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS")
    else:
        return Ranks()
    defaults = (0, 0, 1)
    return Ranks(*(int(environment.get(name, default)) for name, default in zip(names, defaults, strict=True)))


def rendezvous(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """MASTER_ADDR and MASTER_PORT where the ranks of a SLURM step meet, the same on all of them; what is set already
    stays, and outside such a step nothing is given.

    The first node of a step has its rank 0. The port follows from the job and the step, so that two on one node differ.
    """
    if "WORLD_SIZE" in environment or not _in_step(environment):
        return {}
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST") or "localhost"
    job, step = int(environment.get("SLURM_JOB_ID", "0")), int(environment["SLURM_STEP_ID"])
    found = {"MASTER_ADDR": first_node(nodes), "MASTER_PORT": str(FIRST_PORT + (job * 7 + step) % PORTS)}
    return {name: environment.get(name, value) for name, value in found.items()}


def first_node(nodes: str) -> str:
    """The first name of SLURM's compressed list: ``gpu[003-007,9],cpu1`` begins with ``gpu003``."""
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", nodes).split(",")[0]


def _in_step(environment: Mapping[str, str]) -> bool:
    return "SLURM_STEP_ID" in environment and int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1
