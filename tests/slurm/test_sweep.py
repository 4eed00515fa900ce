"""A 2x2 sweep as one array, each of whose tasks something else ends early, equals the sweep that nothing ended."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.experiments.engine.support import record_of
from tests.faults.counts import Tally
from tests.faults.families import assert_equal
from tests.slurm.jobs import SWEEP, Account, in_the_middle
from tests.slurm.scenarios import Scenarios, scenario
from tests.slurm.test_requeue import ENDS, assert_checkpointed_at_once, assert_repeatable

GRID = ["encoding=rope,none", "seed=1,2"]
ENDED_BY = ("SIGTERM", "SIGUSR1", "SIGUSR2", "scontrol requeue")


def swept(scenarios: Scenarios, ends: Sequence[str] = ()) -> dict[tuple[str, int], Path]:
    """The runs of the sweep by encoding and seed, the first of which ``ends`` meet in training."""
    account = scenarios.open("sweep-ended-early" if ends else "sweep")
    waiting = account.start(*SWEEP, *GRID)
    places = [(encoding, seed) for encoding in ("rope", "none") for seed in (1, 2)]

    def end_early(place: tuple[str, int], end: str) -> None:
        with in_the_middle(account, lambda: _runs(account).get(place)) as job:
            assert "_" in job, "a task of an array"
            ENDS[end](job, "sweep")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(end_early, places, ends))
    account.finished(len(places))
    account.ended(waiting, 0)
    return _runs(account)


def _runs(account: Account) -> dict[tuple[str, int], Path]:
    return {(run.parent.name.partition("-")[0], int(run.name.removeprefix("seed"))): run for run in account.runs()}


def both(scenarios: Scenarios) -> tuple[dict[tuple[str, int], Path], dict[tuple[str, int], Path]]:
    whole = scenarios.start(swept)
    return scenarios.start(swept, ends=ENDED_BY).result(), whole.result()


@scenario(both)
def test_a_sweep_survives_four_ends_at_once(outcome: tuple[dict[tuple[str, int], Path], ...], tally: Tally) -> None:
    broken, whole = outcome
    assert len(whole) == 4
    assert all(len(record_of(run)["segments"]) == 1 for run in whole.values())
    for end, (place, run) in zip(ENDED_BY, broken.items(), strict=True):
        with tally(f"SLURM: {end}, task of an array"):
            assert_checkpointed_at_once(run)
            assert_equal(run, whole[place])


@scenario(swept)
def test_the_recorded_command_of_a_job_repeats_its_run(outcome: dict[tuple[str, int], Path]) -> None:
    assert_repeatable(record_of(outcome["none", 2])["manifest"]["command"], "encoding=none", "seed=2")
