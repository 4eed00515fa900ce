"""One run on two nodes: srun's tasks are its ranks, or torchrun's; stopped and requeued, it ends as if unbroken.
Without srun, a job is one process."""

from __future__ import annotations

import time
from pathlib import Path

from experiments.launch.exit_codes import REQUEUE
from tests.experiments.engine.support import record_of, same_weights, weights_of
from tests.faults.counts import Tally
from tests.faults.families import assert_equal
from tests.slurm.jobs import (
    WORDS,
    command,
    documented_script,
    exit_code_of,
    in_the_middle,
    state_of,
    stood_still,
    was_signaled,
)
from tests.slurm.scenarios import Scenarios, scenario
from tests.slurm.test_requeue import assert_checkpointed_at_once

ONE_A_NODE = ["--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1"]


def on_two_nodes(scenarios: Scenarios, end: str = "") -> Path:
    account = scenarios.open(f"two-nodes{end}")
    account.sbatch(documented_script(), ["encoding=rope", *WORDS], ONE_A_NODE)
    if end:
        with in_the_middle(account, lambda: next(iter(account.runs()), None)) as job:
            command("scancel", f"--signal={end}", job)
    return account.finished()[0]


def with_torchrun(scenarios: Scenarios) -> tuple[Path, str, int]:
    """A run that a signal stops, its job's state and exit code then; and a second job that goes on with it."""
    account = scenarios.open("torchrun")
    submit = (documented_script(which=1), ["encoding=rope", *WORDS], ONE_A_NODE)
    account.sbatch(*submit)
    with in_the_middle(account, lambda: next(iter(account.runs()), None)) as job:
        command("scancel", "--signal=TERM", job)
    account.wait_until(lambda: state_of(job) not in ("RUNNING", "COMPLETING"), f"the end of job {job}")
    state, code = state_of(job), exit_code_of(job)
    account.sbatch(*submit)
    return account.finished()[0], state, code


def without_srun(scenarios: Scenarios) -> tuple[Path, bool]:
    """A job of two tasks whose script starts python itself, and whether a signal to the job came to that."""
    account = scenarios.open("without-srun")
    script = '#!/bin/bash\npython -m experiments.train "$@"\n'
    account.sbatch(script, ["encoding=rope", *WORDS], ["--nodes=1", "--ntasks=2", "--cpus-per-task=1"])
    with stood_still(account, lambda: next(iter(account.runs()), None)) as (job, pid):
        command("scancel", "--signal=USR1", job)
        time.sleep(3)
        came = was_signaled(pid)
    return account.finished()[0], came


@scenario(on_two_nodes)
def test_the_tasks_of_srun_on_two_nodes_are_the_ranks_of_one_run(outcome: Path, scenarios: Scenarios) -> None:
    record, alone = record_of(outcome), record_of(scenarios.whole())
    assert (outcome / "train.rank1.log").exists()
    # each rank draws dropout masks for its part of the batch: the run of another seed, so to speak
    assert not same_weights(weights_of(outcome), weights_of(scenarios.whole()))
    for split in ("valid", "test"):
        assert abs(record["metrics"][f"{split}_loss"] - alone["metrics"][f"{split}_loss"]) < 0.1


def broken(scenarios: Scenarios) -> Path:
    return scenarios.start(on_two_nodes, end="USR1").result()


@scenario(broken)
def test_two_ranks_that_a_signal_stops_lose_nothing(outcome: Path, scenarios: Scenarios, tally: Tally) -> None:
    with tally("SLURM: SIGUSR1, srun -n2 on two nodes"):
        assert_checkpointed_at_once(outcome)
        assert_equal(outcome, scenarios.start(on_two_nodes).result())


@scenario(with_torchrun)
def test_a_torchrun_job_is_saved_but_not_requeued_and_the_next_goes_on(
    outcome: tuple[Path, str, int], scenarios: Scenarios, tally: Tally
) -> None:
    with tally("SLURM: SIGTERM, torchrun on two nodes, submitted again"):
        run, state, code = outcome
        assert state == "FAILED"
        assert code != REQUEUE, "torchrun keeps the exit code of its workers to itself"
        assert_checkpointed_at_once(run)
        assert_equal(run, scenarios.start(on_two_nodes).result())


@scenario(without_srun)
def test_without_srun_a_job_of_two_tasks_is_one_process_that_no_signal_reaches(
    outcome: tuple[Path, bool], scenarios: Scenarios
) -> None:
    run, came = outcome
    assert not came
    assert_equal(run, scenarios.whole())
