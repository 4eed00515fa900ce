"""A study is shared by processes, of this machine and of a cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments.launch.processes import Children
from experiments.launch.slurm.executor import SlurmExecutor
from experiments.runs.records import RunFolder
from experiments.tuning.request import parse_request
from tests.experiments.conftest import TINY
from tests.experiments.launch.slurm.stand_in import StandIn
from tests.experiments.tuning.support import RATE, Trainer, place, trials, tune


def test_two_workers_that_draw_the_same_train_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the first one's run, and has its value."""
    words = ["recipe.learning_rate=choice(1e-2,1e-3)", "trials=4"]
    others = RunFolder(place(["recipe.learning_rate=1e-2", f"paths.results={tmp_path}"]))
    ready, release = threading.Event(), threading.Event()

    def hold() -> None:
        with others.lock():
            ready.set()
            release.wait(60)
            others.begin({"experiment": "alm", "encoding": "rope", "seed": 1, "identity": "0123abcd"}, manifest={})
            others.close("finished", to_update=1, metrics={"valid_loss": 0.5, "valid_accuracy": 0.0})

    def holder_named(_: RunFolder) -> str:
        release.set()  # the second waits now
        return "another worker"

    holder = threading.Thread(target=hold)
    holder.start()
    assert ready.wait(60)
    monkeypatch.setattr(RunFolder, "holder", holder_named)
    trainer = Trainer()
    code, text = tune(trainer, *words)
    holder.join()
    assert code == 0, text
    assert text.count(": in use by another worker; waiting for it") == 1
    assert trainer.rates == [1e-3]
    values = {(trial.params["recipe.learning_rate"], trial.value) for trial in trials(tmp_path)}
    assert values == {("1e-2", 0.5), ("1e-3", 0.25)}


def test_several_processes_share_a_study(tmp_path: Path) -> None:
    parse_request(["study=lr", *TINY, RATE])  # hydra composes in one thread at a time; the workers find it composed
    trainer, codes = Trainer(seconds=0.02), []
    workers = [
        threading.Thread(target=lambda: codes.append(tune(trainer, RATE, "trials=9")[0]), daemon=True) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert codes == [0, 0, 0]
    assert len(trainer.rates) == len(set(trainer.rates)) == 9, "every trial was run once"
    assert [trial.state.name for trial in trials(tmp_path)] == ["COMPLETE"] * 9


def test_on_slurm_a_study_is_an_array_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = StandIn(tmp_path / "slurm-stand-in")
    monkeypatch.setenv("PATH", f"{slurm.bin}:{os.environ['PATH']}")
    monkeypatch.setattr(SlurmExecutor, "look_seconds", 0.02)
    on_slurm = ["launcher=slurm", "jobs=2", "hydra.launcher.partition=gpu"]
    code, text = tune(Trainer(), RATE, "trials=5", *on_slurm, "wait=false")
    assert code == 0
    assert "submitted 12_[0-1]: 2 jobs" in text
    plain = ["study=lr", *TINY, RATE, "trials=5"]
    assert [command[1:] for command in slurm.commands(12)] == [["-m", "experiments.tune", *plain]] * 2
    slurm.set("12_0", "RUNNING")
    threading.Timer(1, lambda: [slurm.set(job, "COMPLETED") for job in ("12_0", "12_1")]).start()
    assert tune(Trainer(), RATE, "trials=5")[0] == 0, "as a worker does"
    code, text = tune(Trainer(), RATE, "trials=5", *on_slurm)
    assert code == 0
    assert slurm.arrays == [12]
    assert "the best: python -m experiments.train" in text


def test_workers_on_this_machine_are_the_same_command_several_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def launch(children: Children, command: Sequence[str], log: Path | None, variables: dict[str, str]) -> int:
        commands.append(list(command[2:]))
        return tune(Trainer(), RATE, "trials=4")[0]

    monkeypatch.setattr(Children, "launch", launch)
    code, text = tune(Trainer(), RATE, "trials=4", "jobs=2")
    assert code == 0
    assert commands[0] == ["experiments.tune", "study=lr", *TINY, RATE, "trials=4"]
    assert "worker 1: done" in text
    assert [trial.state.name for trial in trials(tmp_path)] == ["COMPLETE"] * 4
