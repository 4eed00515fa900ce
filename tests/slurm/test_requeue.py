"""Whatever ends a job early, it checkpoints at once, comes back, and ends as if nothing had happened, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.experiments.engine.support import record_of
from tests.faults.counts import Tally
from tests.faults.families import assert_equal
from tests.slurm.jobs import SUBMITIT, UPDATES, WORDS, command, documented_script, in_the_middle
from tests.slurm.scenarios import Scenarios, scenario

SPOT = {"plain": "n3", "submitit": "n4"}


def _send(name: str) -> Callable[[str, str], None]:
    return lambda job, kind: command("scancel", f"--signal={name}", job)


def _requeue(job: str, kind: str) -> None:
    command("scontrol", "requeue", job)


def _reach_the_time_limit(job: str, kind: str) -> None:
    # --signal comes 300 s before the end, so at once, which is at SLURM's next look: within 30 s
    command("scontrol", "update", f"jobid={job}", "timelimit=4")


def _preempt(job: str, kind: str) -> None:
    command("sbatch", "--partition=short", f"--nodelist={SPOT[kind]}", "--exclusive", "-o/dev/null", "--wrap=true")


ENDS: dict[str, Callable[[str, str], None]] = {
    "SIGTERM": _send("TERM"),
    "SIGUSR1": _send("USR1"),
    "SIGUSR2": _send("USR2"),
    "scontrol requeue": _requeue,
    "time limit": _reach_the_time_limit,
    "preemption": _preempt,
}


def ended_early(scenarios: Scenarios, kind: str, end: str) -> Path:
    """One run as a job of its own, which ``end`` meets in training."""
    account = scenarios.open(f"{kind}-{end.replace(' ', '-')}")
    preempted, waiting = end == "preemption", None
    if kind == "plain":
        place = ["--partition=spot", f"--nodelist={SPOT[kind]}"] if preempted else []
        account.sbatch(documented_script(), ["encoding=rope", *WORDS], ["--nodes=1", "--cpus-per-task=1", *place])
    else:
        options = f"hydra.launcher.additional_parameters={{nodelist: {SPOT[kind]}}}"
        place = ["hydra.launcher.partition=spot", options] if preempted else []
        waiting = account.start(*SUBMITIT, "encoding=rope", *place)
    with in_the_middle(account, lambda: next(iter(account.runs()), None)) as job:
        ENDS[end](job, kind)
    if end == "time limit":
        command("scontrol", "update", f"jobid={job}", "timelimit=60")  # for its second part
    (run,) = account.finished()
    if waiting is not None:
        account.ended(waiting, 0)
    return run


@scenario(ended_early)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", ["plain", "submitit"])
def test_a_job_that_ends_early_loses_nothing(
    kind: str, end: str, outcome: Path, scenarios: Scenarios, tally: Tally
) -> None:
    with tally(f"SLURM: {end}, {kind} job"):
        assert_checkpointed_at_once(outcome)
        assert_equal(outcome, scenarios.whole())
    assert_repeatable(record_of(outcome)["manifest"]["command"], "encoding=rope")


def assert_checkpointed_at_once(run: Path) -> None:
    """It was interrupted, and no update was trained twice."""
    segments = record_of(run)["segments"]
    assert len(segments) > 1
    assert 0 < segments[0]["to_update"] < UPDATES
    assert [segment["to_update"] for segment in segments[:-1]] == [segment["from_update"] for segment in segments[1:]]


def assert_repeatable(command: Sequence[str], *words: str) -> None:
    """A record's command is one that a person can give, without what a launcher added."""
    assert command[:3] == ["python", "-m", "experiments.train"]
    assert set(words) <= set(command)
    assert not [word for word in command if word.startswith("hydra")]
