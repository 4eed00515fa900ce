"""The machine that submits: it names the dead, works without accounting, attaches to jobs, and can be left."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

import pytest

from tests.faults.counts import Tally
from tests.slurm import cluster
from tests.slurm.jobs import SWEEP, command, in_the_middle
from tests.slurm.scenarios import Scenarios, scenario


@dataclass(frozen=True)
class Said:
    """How a command ended, and the job that met its end meanwhile."""

    code: int
    text: str
    job: str = ""


def one_canceled(scenarios: Scenarios, accounting: bool) -> Said:
    """A sweep of two, of which somebody cancels one in training."""
    variables = {} if accounting else cluster.without_accounting()
    account = scenarios.open("canceled-with" if accounting else "canceled-without", **variables)
    waiting = account.start(*SWEEP, "encoding=rope", "seed=1,2")
    with in_the_middle(account, lambda: next(iter(account.runs()), None)) as job:
        command("scancel", job)
    text = account.ended(waiting)
    account.finished(1)
    return Said(waiting.returncode, text, job)


@scenario(one_canceled)
@pytest.mark.parametrize("accounting", [True, False])
def test_a_sweep_names_the_job_that_died_and_awaits_the_others(accounting: bool, outcome: Said, tally: Tally) -> None:
    if accounting and not cluster.keeps_accounts():
        pytest.skip(f"no accounting here ({' '.join(cluster.ACCOUNTING_PACKAGES)})")
    with tally(f"SLURM: scancel, sweep {'with' if accounting else 'without'} accounting"):
        assert outcome.code == 1
        # squeue forgets an ended job after a while, and only accounting remembers it
        state = "CANCELLED" if accounting else r"(CANCELLED|UNKNOWN \(neither squeue nor sacct knows it\))"
        assert re.search(rf"job {outcome.job} ended as {state}.*; its log: /\S+/{outcome.job}\.log", outcome.text), (
            outcome.text
        )
        assert outcome.text.count("finished in ") == 1
        assert "Traceback" not in outcome.text


def attached(scenarios: Scenarios) -> tuple[Said, Said, Said, int]:
    """The same sweep from three terminals, one of which is left by Ctrl-C; and how many arrays there were in all."""
    account = scenarios.open("terminals")
    words = [*SWEEP, "encoding=rope", "seed=1,2", "hydra.launcher.additional_parameters={hold: true}"]
    first = account.start(*words)
    submitted = account.said(first, "submitted")
    second, third = account.start(*words), account.start(*words)
    waiting = [account.said(process, "queued or running already") for process in (second, third)]
    third.send_signal(signal.SIGINT)
    left = waiting[1] + account.ended(third)
    command("scontrol", "release", submitted.split()[1].partition("_")[0])
    said = (submitted + account.ended(first, 0), waiting[0] + account.ended(second, 0))
    arrays = len(list(account.results.glob("slurm/scripts/*.sh")))
    return Said(0, said[0]), Said(0, said[1]), Said(third.returncode, left), arrays


@scenario(attached)
def test_a_second_terminal_waits_for_the_same_jobs_and_a_third_leaves_them(
    outcome: tuple[Said, Said, Said, int],
) -> None:
    first, second, left, arrays = outcome
    assert arrays == 1
    job = re.search(r"submitted (\d+)_\[0-1\]: 2 jobs; logs: /", first.text)
    assert job, first.text
    assert f"2 jobs are queued or running already: {job[1]}_[0-1]" in second.text
    assert "submitted" not in second.text
    assert second.text.count(": finished") == 2
    assert left.code == 130
    assert f"left; 2 jobs go on, and the same command waits for them again. To end them: scancel {job[1]}_[0-1]" in (
        left.text
    )


def refused(scenarios: Scenarios) -> Said:
    account = scenarios.open("refused")
    words = ["hydra.launcher.partition=gpus", "hydra.launcher.additional_parameters={nice: 10}"]
    return Said(*account.run(*SWEEP, "encoding=rope", *words))


@scenario(refused)
def test_what_sbatch_refuses_is_one_line_in_its_own_words(outcome: Said) -> None:
    assert outcome.code == 2
    assert outcome.text.splitlines()[-1] == (
        "error: hydra/launcher=slurm: sbatch: error: invalid partition specified: gpus; "
        "sbatch: error: Batch job submission failed: Invalid partition name specified"
    )
    assert "Traceback" not in outcome.text
