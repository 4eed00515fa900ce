"""Nodes whose file system has no flock: they never train one run at once, and a dead one blocks for its expiry only."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.data_prep.core.test_locks import ERRORS, SHIM
from tests.experiments.conftest import TINY
from tests.faults.counts import Tally
from tests.slurm.jobs import Account, command, job_of
from tests.slurm.scenarios import Scenarios, scenario

EXPIRY = 30.0
SCRIPT = '#!/bin/bash\nsrun env LD_PRELOAD=$SHIM python -m experiments.train "$@"\n'
# Long enough to be in training when the other node has started.
LONG = ["encoding=rope", *TINY, "recipe.max_update=20000", "recipe.validate_interval_updates=100"]


@dataclass(frozen=True)
class Contest:
    """Who trained a run that two nodes want, what the other was outcome meanwhile, and what it said after a kill."""

    holder: tuple[str, int]
    refusal: str
    takeover: str


def contested_run(scenarios: Scenarios) -> Contest | None:
    if shutil.which("cc") is None:
        return None
    account = scenarios.open("no-flock", LRPE_LOCK_EXPIRY=str(EXPIRY), FLOCK_ERRNO=str(ERRORS["ENOSYS"]))
    shim = account.results / "flock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-xc", "-", "-o", shim], input=SHIM, text=True, check=True)
    account.environment["SHIM"] = str(shim)

    def start(node: str) -> Path:
        job = account.sbatch(SCRIPT, LONG, ["-n1", "--cpus-per-task=1", f"--nodelist={node}"])
        return account.results / f"job-{job}.log"

    def says(log: Path, text: str) -> None:
        account.wait_until(lambda: log.exists() and text in log.read_text(), f"'{text}' in {log}")

    start("n1")
    account.wait_until(lambda: _validated(account), "its first checkpoint")
    (run,) = account.runs()
    holder = job_of(run)
    second = start("n2")
    says(second, "in use by")
    os.kill(holder[1], signal.SIGKILL)
    third = start("n2")
    says(third, "resuming")
    command("scancel", job_of(run)[0])
    return Contest(holder, second.read_text(), third.read_text())


def _validated(account: Account) -> bool:
    return any((run / "checkpoints" / "checkpoint_last.pt").exists() for run in account.runs())


@scenario(contested_run)
def test_two_nodes_without_flock_never_train_one_run(outcome: Contest | None, tally: Tally) -> None:
    if outcome is None:
        pytest.skip("no C compiler (cc) for a library in which flock fails")
    with tally("SLURM: process killed on another node, flock fails"):
        job, pid = outcome.holder
        assert f"in use by process {pid} on n1 (job {job}); wait for it or stop it" in outcome.refusal
        assert "has no flock (Function not implemented): locks there are kept by heartbeats" in outcome.refusal
        assert re.search(r"resuming\s+from update [\d,]+00 ", outcome.takeover)
