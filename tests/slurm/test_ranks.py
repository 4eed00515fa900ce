"""One run on two nodes: srun's tasks are its ranks, or torchrun's; stopped and requeued, it ends as if unbroken."""

from __future__ import annotations

from pathlib import Path

from tests.experiments.engine.support import record_of, same_weights, weights_of
from tests.faults.counts import Tally
from tests.faults.families import assert_equal
from tests.slurm.jobs import WORDS, command, documented_script, in_the_middle
from tests.slurm.stories import Stories, tells
from tests.slurm.test_requeue import assert_checkpointed_at_once

ONE_A_NODE = ["--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1"]


def on_two_nodes(stories: Stories, end: str = "") -> Path:
    account = stories.open(f"two-nodes{end}")
    account.sbatch(documented_script(), ["encoding=rope", *WORDS], ONE_A_NODE)
    if end:
        with in_the_middle(account, lambda: next(iter(account.runs()), None)) as job:
            command("scancel", f"--signal={end}", job)
    return account.finished()[0]


def with_torchrun(stories: Stories) -> Path:
    account = stories.open("torchrun")
    account.sbatch(documented_script(which=1), ["encoding=rope", *WORDS], ONE_A_NODE)
    return account.finished()[0]


@tells(on_two_nodes)
def test_the_tasks_of_srun_on_two_nodes_are_the_ranks_of_one_run(told: Path, stories: Stories) -> None:
    record, alone = record_of(told), record_of(stories.whole())
    assert (told / "train.rank1.log").exists()
    # each rank draws dropout masks for its part of the batch: the run of another seed, so to speak
    assert not same_weights(weights_of(told), weights_of(stories.whole()))
    for split in ("valid", "test"):
        assert abs(record["metrics"][f"{split}_loss"] - alone["metrics"][f"{split}_loss"]) < 0.1


def broken(stories: Stories) -> Path:
    return stories.tell(on_two_nodes, end="USR1").result()


@tells(broken)
def test_two_ranks_that_a_signal_stops_lose_nothing(told: Path, stories: Stories, tally: Tally) -> None:
    with tally("SLURM: SIGUSR1, srun -n2 on two nodes"):
        assert_checkpointed_at_once(told)
        assert_equal(told, stories.tell(on_two_nodes).result())


@tells(with_torchrun)
def test_torchrun_on_two_nodes_trains_the_same_run_as_srun(told: Path, stories: Stories) -> None:
    assert_equal(told, stories.tell(on_two_nodes).result())
