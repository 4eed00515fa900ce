"""A study tunes over normal runs, goes on where it stopped, and is shared by processes."""

from __future__ import annotations

import functools
import io
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from experiments.config import compose
from experiments.launch.exit_codes import REQUEUE
from experiments.launch.processes import Children, Stopped
from experiments.launch.slurm.executor import SlurmExecutor
from experiments.runs import scan
from experiments.runs.records import RunFolder
from experiments.tune import main
from experiments.tuning import request
from experiments.tuning.request import parse_request
from experiments.tuning.space import as_overrides, describe, parse_distribution
from experiments.util.errors import UserError
from tests.experiments.conftest import ROOT, TINY, environment
from tests.experiments.launch.slurm.stand_in import StandIn

LONG = ["recipe.max_update=100", "recipe.validate_interval_updates=50"]
RATE = "recipe.learning_rate=log(1e-4,1e-1)"


@functools.cache
def composed_once(words: tuple[str, ...]) -> dict[str, Any]:
    return OmegaConf.to_container(compose(list(words)))  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def _places(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def quickly(words: list[str]) -> DictConfig:
        config = OmegaConf.create(composed_once(tuple(words)))
        if not any(word.startswith("paths.results=") for word in words):
            config.paths.results = str(tmp_path)
        return config

    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path))
    monkeypatch.setattr(request, "compose", quickly)


def place(words: Sequence[str]) -> Path:
    """The folder of the run with these overrides, without composing them."""
    given = dict(word.split("=", 1) for word in words)
    root = Path(given.get("paths.results", os.environ["LRPE_RESULTS"]))
    return root / "runs" / "alm" / f"rope-{zlib.crc32(given['recipe.learning_rate'].encode()):08x}" / "seed1"


class Trainer:
    """``experiments.train`` without training: the loss is least at a learning rate of 10^-2.5.

    ``behave`` may change what a call does, by its number: "fail", "diverge", or "stop".
    """

    def __init__(self, behave: dict[int, str] | None = None, seconds: float = 0) -> None:
        self.behave, self.seconds = behave or {}, seconds
        self.rates: list[float] = []

    def __call__(self, command: Sequence[str]) -> int:
        assert list(command[1:3]) == ["-m", "experiments.train"]
        (rate,) = [float(word.partition("=")[2]) for word in command if word.startswith("recipe.learning_rate=")]
        how = self.behave.get(len(self.rates), "finish")
        self.rates.append(rate)
        time.sleep(self.seconds)
        if how == "stop":
            raise Stopped(signal.SIGINT)
        folder = RunFolder(place(command[3:]))
        folder.begin({"experiment": "alm", "encoding": "rope", "seed": 1, "identity": "0123abcd"}, manifest={})
        if how == "fail":
            folder.close("failed", to_update=0, error="RuntimeError: boom")
            return 1
        loss = math.nan if how == "diverge" else (math.log10(rate) + 2.5) ** 2
        folder.close("finished", to_update=1, metrics={"valid_loss": loss, "valid_accuracy": -loss})
        return 0


def tune(trainer: Callable[..., int], *words: str, study: str = "lr") -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=80, soft_wrap=True, highlight=False)
    code = main([f"study={study}", *TINY, *words], resolve=place, launch=trainer, console=console)
    return code, console.file.getvalue()


def trials(results: Path) -> list[optuna.trial.FrozenTrial]:
    storage = f"sqlite:///{results / 'tuning' / 'lr' / 'study.db'}"
    return optuna.load_study(study_name="lr", storage=storage).get_trials()


def test_trials_are_runs_and_the_best_is_named(tmp_path: Path) -> None:
    trainer = Trainer()
    code, text = tune(trainer, RATE, "trials=6")
    assert code == 0
    assert len(trainer.rates) == len(set(trainer.rates)) == len(scan(tmp_path)) == 6
    assert all(1e-4 <= rate <= 1e-1 for rate in trainer.rates)
    best = min(trainer.rates, key=lambda rate: abs(math.log10(rate) + 2.5))
    assert f"recipe.learning_rate={best!r}" in text.splitlines()[-1]
    assert {trial.params["recipe.learning_rate"] for trial in trials(tmp_path)} == set(trainer.rates)


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


def test_the_search_comes_near_the_best() -> None:
    trainer = Trainer()
    tune(trainer, RATE, "trials=25")
    near = [rate for rate in trainer.rates[15:] if abs(math.log10(rate) + 2.5) < 0.5]
    assert len(near) >= 5, "a third of the range would hold 3.3 of 10 by chance"


def test_a_study_goes_on_where_it_stopped_and_draws_what_an_unbroken_one_draws(tmp_path: Path) -> None:
    unbroken = Trainer()
    tune(unbroken, RATE, "trials=14", f"paths.results={tmp_path / 'other'}")
    first, second = Trainer({12: "stop"}), Trainer()
    code, text = tune(first, RATE, "trials=14")
    assert code == 130
    assert "the same command goes on" in text
    assert [trial.state.name for trial in trials(tmp_path)] == ["COMPLETE"] * 12 + ["RUNNING"]
    code, text = tune(second, RATE, "trials=14")
    assert code == 0
    assert "trial 12, of 14 (resumed)" in text
    assert [*first.rates, *second.rates[1:]] == unbroken.rates
    assert second.rates[0] == first.rates[-1], "the trial that was stopped, with the same numbers"
    assert tune(Trainer({0: "fail"}), RATE, "trials=14")[0] == 0, "nothing is left to do"
    assert len(trials(tmp_path)) == 14
    tune(second, RATE, "trials=16")
    assert len(trials(tmp_path)) == 16, "more can be asked for"


def test_failed_and_diverged_trials_count_and_are_said(tmp_path: Path) -> None:
    code, text = tune(Trainer({1: "fail", 2: "diverge"}), RATE, "trials=4")
    assert code == 1
    assert "trial 1: failed (RuntimeError: boom)" in text
    assert "trial 2: diverged: valid_loss is not finite" in text
    assert "2 of 4 trials failed" in text
    assert [trial.state.name for trial in trials(tmp_path)] == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]


def test_another_metric_and_direction() -> None:
    _, text = tune(Trainer(), RATE, "trials=5", "metric=valid_accuracy")
    rows = [float(value) for value in re.findall(r"^ +\d+ +(-?[\d.e-]+) ", text, re.MULTILINE)]
    assert len(rows) == 5
    assert rows == sorted(rows, reverse=True), "accuracy is to be large"
    with pytest.raises(UserError, match=r"valid_bleu: .* has none such \(it has: valid_loss, valid_accuracy\)"):
        tune(Trainer(), "recipe.learning_rate=uniform(1,2)", "trials=1", "metric=valid_bleu", study="other")


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([RATE.replace("1e-1", "1e-2")], r"another space \(recipe.learning_rate=log\(0.0001,0.1\), not .*0.01\)"),
        ([RATE, "encoding=none"], "another fixed"),
        ([RATE, "metric=test_loss"], r"another metric \(valid_loss, not test_loss\)"),
        ([RATE, "direction=maximize"], "another direction"),
        ([RATE, "seed=2"], "another fixed"),
    ],
)
def test_another_question_needs_another_name(words: list[str], said: str) -> None:
    tune(Trainer(), RATE, "trials=1")
    with pytest.raises(UserError, match=said):
        tune(Trainer(), *words, "trials=2")


def test_where_and_how_it_runs_is_no_other_question() -> None:
    tune(Trainer(), RATE, "trials=1")
    trainer = Trainer()
    assert tune(trainer, RATE, "trials=2", "engine.num_workers=1", "tracker.project=x")[0] == 0
    assert len(trainer.rates) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([RATE], "study=NAME is missing"),
        (["study=../x", RATE], "study=NAME"),
        (["study=a"], "nothing to tune"),
        (["study=a", "encoding=rope"], "nothing to tune"),
        (["study=a", "recipe.learning_rate=lg(1,2)"], "did you mean 'log'"),
        (["study=a", "encoding=glob(lrpe_*)"], "unknown distribution 'glob'"),
        (["study=a", "recipe.learning_rate=log(0,1)"], "above 0, low first"),
        (["study=a", "recipe.learning_rate=log(1e-2,1e-3)"], "low first"),
        (["study=a", "model.num_layers=integer(1,2.5)"], "two whole numbers"),
        (["study=a", "encoding=choice(rope)"], "two choices at least"),
        (["study=a", "encoding=choice(rope,non)"], "did you mean 'none'"),
        (["study=a", "recipe.learning_rat=log(1e-4,1e-2)"], "did you mean 'recipe.learning_rate'"),
        (["study=a", "model.dropout=uniform(0,1.5)"], r"model.dropout=1.5: expected a rate below 1"),
        (["study=a", RATE, "trals=3"], "did you mean 'trials'"),
        (["study=a", RATE, "trials=0"], "at least 1"),
        (["study=a", RATE, "direction=minimise"], "did you mean 'minimize'"),
        (["study=a", RATE, RATE], "given twice"),
        (["study=a", RATE, "--jobs"], "expected key=value"),
        (["study=a", RATE, "seed=1,2"], "seed"),
    ],
)
def test_mistakes_are_one_message_before_anything_is_made(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        main(words, launch=Trainer())
    assert not (tmp_path / "tuning").exists()


@pytest.mark.parametrize(
    "value", ["log(0.0001,0.01)", "uniform(0.0,0.3)", "integer(2,8)", "log_integer(1,64)", "choice(a,b)"]
)
def test_distributions_are_read_and_written(value: str) -> None:
    assert describe({"key": parse_distribution("key", value)}) == {"key": value}


def test_numbers_reach_the_run_with_every_digit() -> None:
    number = 0.0002634789754694531
    (word,) = as_overrides({"recipe.learning_rate": number})
    assert compose([*TINY, word]).recipe.learning_rate == number


def test_the_defaults_follow_the_experiment() -> None:
    asked = parse_request(["study=a", *TINY, RATE])
    assert (asked.metric, asked.direction, asked.trials) == ("valid_loss", "minimize", 20)
    assert asked.fixed == tuple(sorted(word for word in TINY if not word.startswith(("tracker", "engine"))))


def test_the_command_trains_for_real_and_survives_a_kill(tiny_data: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "experiments.tune", "study=lr", RATE, "trials=1", *TINY, *LONG]
    options: dict[str, Any] = {"cwd": ROOT, "env": environment(tiny_data, tmp_path), "text": True}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("runs/*/*/seed1/history.jsonl")):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == REQUEUE, said
    assert [run.state for run in scan(tmp_path)] == ["interrupted"]
    done = subprocess.run(words, capture_output=True, check=False, timeout=240, **options)
    assert done.returncode == 0, done.stderr
    assert "trial 0, of 1 (resumed)" in done.stdout
    assert [run.state for run in scan(tmp_path)] == ["finished"]
    assert "the best: python -m experiments.train" in done.stdout


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
