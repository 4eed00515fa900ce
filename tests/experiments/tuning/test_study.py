"""A study tunes over normal runs and goes on where it stopped."""

from __future__ import annotations

import math
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from experiments.launch.exit_codes import REQUEUE
from experiments.runs import scan
from experiments.util.errors import UserError
from tests.experiments.conftest import ROOT, TINY, environment
from tests.experiments.tuning.support import RATE, Trainer, trials, tune

LONG = ["recipe.max_update=100", "recipe.validate_interval_updates=50"]


def test_trials_are_runs_and_the_best_is_named(tmp_path: Path) -> None:
    trainer = Trainer()
    code, text = tune(trainer, RATE, "trials=6")
    assert code == 0
    assert len(trainer.rates) == len(set(trainer.rates)) == len(scan(tmp_path)) == 6
    assert all(1e-4 <= rate <= 1e-1 for rate in trainer.rates)
    best = min(trainer.rates, key=lambda rate: abs(math.log10(rate) + 2.5))
    assert f"recipe.learning_rate={best!r}" in text.splitlines()[-1]
    assert {trial.params["recipe.learning_rate"] for trial in trials(tmp_path)} == set(trainer.rates)


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
