"""Sweeps: every launcher runs them, a failed run stops no other, a dead sweep goes on, and no run is done twice."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from experiments import train
from experiments.launch import sweep
from experiments.runs import scan
from experiments.runs.locks import InUse
from experiments.runs.records import RunFolder
from experiments.util import log
from experiments.util.errors import UserError
from experiments.util.files import write_atomically
from tests.experiments.conftest import ROOT, TINY, environment, run_train

SHORT = ["recipe.max_update=2", "recipe.warmup_updates=1"]


def states(results: Path) -> dict[str, str]:
    return {f"{run.keys['encoding']}/{run.keys['seed']}": run.state for run in scan(results)}


@pytest.mark.parametrize(
    ("cores", "gpus", "runs"), [(1, 0, 1), (2, 0, 2), (4, 0, 2), (8, 0, 2), (16, 0, 4), (64, 0, 16), (64, 1, 1)]
)
def test_the_number_of_workers_fits_the_machine(
    cores: int, gpus: int, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "available_cores", lambda: cores)
    monkeypatch.setattr(sweep, "gpu_names", lambda: ["H100"] * gpus)
    assert sweep.workers() == runs


def raising(error: Exception) -> Callable[[Any], int]:
    def run(config: Any) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("run", "noted"),
    [
        (lambda config: 0, []),
        (lambda config: 1, [(1, "")]),
        (raising(UserError("encoding=rop: unknown")), [(2, "error: encoding=rop: unknown")]),
        (raising(RuntimeError("boom")), [(1, "RuntimeError: boom")]),
    ],
)
def test_in_a_sweep_a_failure_is_noted_and_the_next_run_begins(
    run: Callable[[Any], int], noted: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[tuple[int, str]] = []
    monkeypatch.setattr(train, "run", run)
    monkeypatch.setattr(sweep, "in_sweep", lambda: True)
    monkeypatch.setattr(sweep, "note_failure", lambda *note: notes.append(note))
    train.train_one(OmegaConf.create)
    assert notes == noted


def test_a_run_that_another_process_trains_is_no_failure_of_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "run", raising(InUse(tmp_path / "seed1", "process 7 on here")))
    monkeypatch.setattr(sweep, "in_sweep", lambda: True)
    monkeypatch.setattr(sweep, "_note", lambda name, **content: noted.append(name))
    noted: list[str] = []
    train.train_one(OmegaConf.create)
    assert noted == [sweep.ELSEWHERE]
    said = f"{tmp_path / 'seed1'} is in use by process 7 on here; the sweep goes on, and waits for it at its end\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_at_its_end_a_sweep_waits_for_the_runs_that_others_train(
    status: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_up()
    run = RunFolder(tmp_path / "seed1")
    taken = threading.Event()

    def elsewhere() -> None:
        with run.lock():
            run.begin({}, manifest={})
            taken.set()
            time.sleep(0.3)
            run.close(status, to_update=1)

    note = {"overrides": ["seed=1"], "code": 2, "message": "process 7 left it unfinished", "folder": str(run.path)}
    write_atomically(tmp_path / "sweep" / "0" / sweep.ELSEWHERE, json.dumps(note))
    config = {"hydra": {"sweep": {"dir": str(tmp_path / "sweep")}, "overrides": {"task": []}}}
    thread = threading.Thread(target=elsewhere)
    thread.start()
    assert taken.wait(10)
    with nullcontext() if status == "finished" else pytest.raises(SystemExit, match="1"):
        sweep.Summary().on_multirun_end(OmegaConf.create(config))
    thread.join()
    assert ("seed=1: process 7 left it unfinished" in capsys.readouterr().err) == (status == "failed")


def test_a_signal_ends_the_whole_sweep_and_a_single_run_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for code, in_sweep in ((143, True), (143, False), (1, False)):
        monkeypatch.setattr(train, "run", lambda config, code=code: code)
        monkeypatch.setattr(sweep, "in_sweep", lambda in_sweep=in_sweep: in_sweep)
        with pytest.raises(SystemExit) as stop:
            train.train_one(OmegaConf.create)
        assert stop.value.code == code


def test_a_lone_run_in_a_job_of_slurm_is_told_of_settings_without_effect(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setattr(sys, "argv", ["train", *SHORT, "encoding=rope", "protocol.spe_resample=always"])
    with pytest.raises(SystemExit) as stop:
        train.main()
    assert stop.value.code == 2
    assert "'protocol.spe_resample' has no effect here" in capsys.readouterr().err


def test_submitit_runs_a_sweep_and_a_failed_run_stops_no_other(tiny_data: Path, tmp_path: Path) -> None:
    words = ["-m", *SHORT, "encoding=rope", "model.num_heads=3,2", "hydra/launcher=submitit_local"]
    done = run_train(tiny_data, tmp_path, *words, check=False)
    assert states(tmp_path) == {"rope/1": "finished"}
    assert done.returncode == 1
    assert "1 runs of this sweep failed; the same command retries them:" in done.stderr
    assert (
        "  model.num_heads=3: model.embed_dim=32 is not a multiple of model.num_heads=3; give e.g. model.embed_dim=36\n"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("sweeps/*/.submitit/*")), "it was submitit that ran it"


def test_parallel_workers_do_the_same(tiny_data: Path, tmp_path: Path) -> None:
    words = ["-m", *SHORT, "encoding=rope", "model.num_heads=3,2", "hydra/launcher=parallel", "hydra.launcher.n_jobs=2"]
    done = run_train(tiny_data, tmp_path, *words, "protocol.spe_resample=always", check=False)
    assert states(tmp_path) == {"rope/1": "finished"}
    assert "'protocol.spe_resample' has no effect in this run: nothing of this run takes its value" in done.stderr
    assert done.returncode == 1
    assert "1 runs of this sweep failed" in done.stderr
    assert "Warning" not in done.stderr


def test_a_dead_sweep_goes_on_and_a_run_that_is_held_is_not_done_twice(tiny_data: Path, tmp_path: Path) -> None:
    run = ["encoding=rope", "recipe.max_update=100", "recipe.validate_interval_updates=50"]
    command = [sys.executable, "-m", "experiments.train", "-m", *TINY, *run, "seed=1,2,3"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(tiny_data, tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 200
        while not list(tmp_path.glob("runs/*/*/seed2/history.jsonl")):
            assert time.monotonic() < deadline
            assert process.poll() is None, "the sweep ended before it could be killed"
            time.sleep(0.005)
        process.send_signal(signal.SIGSTOP)  # it holds its run, and comes no further
        assert states(tmp_path) == {"rope/1": "finished", "rope/2": "running"}
        second = run_train(tiny_data, tmp_path, *run, "seed=2", check=False)
        process.send_signal(signal.SIGKILL)
    assert second.returncode == 2
    assert re.search(rf"seed2 is in use by process {process.pid} on \S+; wait for it or stop it", second.stderr)
    assert states(tmp_path) == {"rope/1": "finished", "rope/2": "dead"}
    (first,) = tmp_path.glob("runs/*/*/seed1/record.json")
    before = first.stat().st_mtime_ns
    again = run_train(tiny_data, tmp_path, "-m", *run, "seed=1,2,3")
    assert states(tmp_path) == {"rope/1": "finished", "rope/2": "finished", "rope/3": "finished"}
    assert again.stdout.count("finished before") == 1
    assert first.stat().st_mtime_ns == before
    (resumed,) = tmp_path.glob("runs/*/*/seed2/record.json")
    assert len(json.loads(resumed.read_text())["segments"]) == 2
