"""One run on two nodes: srun's tasks are its ranks, or torchrun's; stopped and requeued, it ends as if unbroken."""

from __future__ import annotations

from pathlib import Path

from tests.experiments.engine.support import record_of, same_weights, weights_of
from tests.faults.counts import Tally
from tests.faults.families import assert_equal
from tests.slurm.jobs import WORDS, command, documented_script, in_the_middle
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


def with_torchrun(scenarios: Scenarios) -> Path:
    account = scenarios.open("torchrun")
    account.sbatch(documented_script(which=1), ["encoding=rope", *WORDS], ONE_A_NODE)
    return account.finished()[0]


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
def test_torchrun_on_two_nodes_trains_the_same_run_as_srun(outcome: Path, scenarios: Scenarios) -> None:
    assert_equal(outcome, scenarios.start(on_two_nodes).result())
