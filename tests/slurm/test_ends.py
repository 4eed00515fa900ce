"""Jobs that must not come back, and those that a signal meets before they can do anything about it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.experiments.engine.support import record_of
from tests.faults.counts import Tally
from tests.faults.families import assert_equal
from tests.slurm.jobs import SWEEP, WORDS, Account, command, documented_script, in_the_middle, state_of
from tests.slurm.scenarios import Scenarios, scenario


def canceled(scenarios: Scenarios) -> tuple[Path, str]:
    """A run whose job somebody cancels in training; the run, and the job's state in the end."""
    account = scenarios.open("canceled")
    account.sbatch(documented_script(), ["encoding=rope", *WORDS], ["--nodes=1", "--cpus-per-task=1"])
    with in_the_middle(account, lambda: next(iter(account.runs()), None)) as job:
        command("scancel", job)
    account.wait_until(lambda: state_of(job) not in ("RUNNING", "COMPLETING"), f"the end of job {job}")
    return account.runs()[0], state_of(job)


@scenario(canceled)
def test_a_canceled_job_is_saved_and_stays_canceled(outcome: tuple[Path, str], tally: Tally) -> None:
    with tally("SLURM: scancel, plain job"):
        run, state = outcome
        assert state == "CANCELLED"
        record = record_of(run)
        assert (record["status"], record["error"]) == ("interrupted", "stopped by SIGTERM")
        assert (run / "checkpoints" / "checkpoint_last.pt").exists()


def signaled_at_once(scenarios: Scenarios, kind: str) -> Path:
    """A job whose processes get a signal as soon as there are any: in python's first second, or in its imports."""
    account = scenarios.open(f"{kind}-at-once")
    if kind == "plain":
        account.sbatch(documented_script(), ["encoding=rope", *WORDS], ["--nodes=1", "--cpus-per-task=1"])
    else:
        account.start(*SWEEP, "encoding=rope")
    account.wait_until(lambda: bool(_processes(account)), "a first process")
    command("scancel", "--signal=USR1", _processes(account)[0])
    time.sleep(1)
    return account.finished()[0]


@scenario(signaled_at_once)
@pytest.mark.parametrize("kind", ["plain", "sweep"])
def test_a_signal_in_the_first_second_requeues_the_job(
    kind: str, outcome: Path, scenarios: Scenarios, tally: Tally
) -> None:
    with tally(f"SLURM: SIGUSR1 before training, {kind} job"):
        assert_equal(outcome, scenarios.whole())


def _processes(account: Account) -> list[str]:
    """The jobs of this account that have a python at work."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            variables = dict(
                line.split(b"=", 1) for line in (process / "environ").read_bytes().split(b"\0") if b"=" in line
            )
        except OSError:
            continue
        own = variables.get(b"LRPE_RESULTS") == str(account.results).encode()
        if own and b"SLURM_STEP_ID" in variables and b"python" in words.split(b"\0")[0]:
            found.append(variables[b"SLURM_JOB_ID"].decode())
    return found
