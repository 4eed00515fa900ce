"""Signals to a sweep and to a command that has not begun to train: every run is saved, and the exit code requeues."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.launch import submitit_jobs
from experiments.launch.early_signals import WARNINGS
from experiments.launch.exit_codes import REQUEUE
from experiments.runs import scan
from tests.experiments.conftest import ROOT, TINY, environment

LONG = ["encoding=rope", "recipe.max_update=4000", "recipe.validate_interval_updates=4000"]


def start(data: Path, results: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "experiments.train", *TINY, *LONG, *words]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(data, results), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended before it could be stopped"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, *WARNINGS])
def test_a_signal_before_training_ends_the_command_in_order(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, tmp_path)

    def is_importing() -> bool:
        caught = [line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "SigCgt" in line]
        return bool(int(caught[0].split()[1], 16) >> (signal.SIGUSR2 - 1) & 1)

    wait_until(is_importing, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else REQUEUE)
    assert said == f"stopped by {number.name} before training began; nothing is lost\n"


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, *(pytest.param(other, marks=pytest.mark.slow) for other in (signal.SIGTERM, signal.SIGUSR1))],
)
def test_a_signal_to_a_parallel_sweep_saves_every_run_and_leaves_no_orphan(
    number: signal.Signals, tiny_data: Path, tmp_path: Path
) -> None:
    process = start(tiny_data, tmp_path, "-m", "seed=1,2,3", "hydra/launcher=parallel", "hydra.launcher.n_jobs=2")
    wait_until(lambda: len(list(tmp_path.glob("runs/*/*/seed*/history.jsonl"))) == 2, process)
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode == (130 if number == signal.SIGINT else REQUEUE)
    runs = scan(tmp_path)
    assert [(run.state, run.keys["seed"]) for run in runs] == [("interrupted", "1"), ("interrupted", "2")]
    for run in runs:
        assert (run.folder / "checkpoints" / "checkpoint_last.pt").exists()
        record = json.loads((run.folder / "record.json").read_text())
        assert record["error"] == f"stopped by {number.name}"
        command = record["manifest"]["command"]
        assert command[:3] == ["python", "-m", "experiments.train"]
        assert f"seed={run.keys['seed']}" in command
        assert not [word for word in command if "hydra" in word]


@pytest.mark.parametrize("number", WARNINGS)
def test_every_warning_to_a_job_of_submitits_becomes_its_requeue(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled: list[int] = []
    kept = {other: signal.getsignal(other) for other in WARNINGS}
    monkeypatch.setattr(submitit_jobs, "_handler", None)
    try:
        signal.signal(signal.SIGUSR2, lambda number, frame: handled.append(number))
        submitit_jobs.take_signals()
        with pytest.raises(SystemExit) as stop:
            signal.raise_signal(number)
    finally:
        for other, handler in kept.items():
            signal.signal(other, handler)
    assert stop.value.code == REQUEUE
    assert handled == [signal.SIGUSR2]


def test_a_job_that_slurm_has_requeued_already_ends_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(number: int, frame: object) -> None:
        raise subprocess.CalledProcessError(1, ["scontrol", "requeue", "7"])

    kept = {other: signal.getsignal(other) for other in WARNINGS}
    monkeypatch.setattr(submitit_jobs, "_handler", refused)
    try:
        with pytest.raises(SystemExit) as stop:
            submitit_jobs.requeue()
    finally:
        for other, handler in kept.items():
            signal.signal(other, handler)
    assert stop.value.code == REQUEUE


def test_a_canceled_job_of_submitits_is_not_requeued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handled: list[int] = []
    kept = {other: signal.getsignal(other) for other in WARNINGS}
    (tmp_path / "squeue").write_text("#!/bin/sh\necho COMPLETING\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(submitit_jobs, "_handler", lambda number, frame: handled.append(number))
    try:
        with pytest.raises(SystemExit, match="75"):
            submitit_jobs.requeue()
    finally:
        for other, handler in kept.items():
            signal.signal(other, handler)
    assert handled == []
