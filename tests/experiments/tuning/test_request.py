"""What a study is asked: its words, its space, and when it is another question."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.config import compose
from experiments.tune import main
from experiments.tuning.request import parse_request
from experiments.tuning.space import as_overrides, describe, parse_distribution
from experiments.util.errors import UserError
from tests.experiments.conftest import TINY
from tests.experiments.tuning.support import RATE, Trainer, tune


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
