"""A loss or gradient that is not finite: its update is left out or ends the run, by the name of what failed first.

Denominators near zero are a rate in the history.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.trainer import Trainer

from experiments.engine.denominators import RATE
from tests.experiments.conftest import TINY, only_run
from tests.experiments.engine.support import curve_of, record_of, same_weights, weights_of
from tests.faults.counts import Tally
from tests.faults.moments import Command, Moment

WORDS = [*TINY, "encoding=lrpe_unitary_learned"]
LAYER = "decoder.model.layers.1"


@dataclass(frozen=True)
class Poison:
    """Makes the attempts at an update with these numbers, from 1 in each process, go wrong."""

    what: str
    attempts: tuple[int, ...]

    def wait(self) -> None:
        build, step, seen = Trainer.__init__, Trainer.train_step, [0]

        def spoil(module: torch.nn.Module, inputs: Any, output: Any) -> Any:
            if not module.training or seen[0] not in self.attempts:
                return None
            if self.what == "loss":
                return (output[0] + torch.inf, *output[1:])
            tensor = output[0] if isinstance(output, tuple) else output
            if self.what == "output":
                tensor.data[0] = torch.nan
            else:
                tensor.register_hook(lambda gradient: gradient * torch.inf)
            return None

        def built(trainer: Trainer, *arguments: Any, **options: Any) -> None:
            build(trainer, *arguments, **options)
            model = trainer.get_model()
            chosen = trainer.get_criterion() if self.what == "loss" else model.get_submodule(LAYER)
            chosen.register_forward_hook(spoil)

        def counted(trainer: Trainer, *arguments: Any, **options: Any) -> Any:
            seen[0] += 1
            return step(trainer, *arguments, **options)

        Trainer.__init__, Trainer.train_step = built, counted


def assert_stops(what: str, place: str, unbroken: Command, data: Path, tmp_path: Path, tally: Tally) -> None:
    broken = Command(WORDS, data, tmp_path)
    with tally(f"{what} that is not finite"):
        broken.ends_with(2, Poison(what, (6,)))
        (message,) = [line for line in broken.log.read_text().splitlines() if line.startswith("error: ")]
        assert f"update 6: loss or gradient is not finite; first in {place}" in message
        folder = only_run(tmp_path)
        assert record_of(folder)["status"] == "failed"
        assert not (folder / "checkpoints" / "crash.pt").exists()
        broken.ends_with(0)
        assert same_weights(weights_of(folder), weights_of(only_run(unbroken.results)))
        assert curve_of(folder) == curve_of(only_run(unbroken.results))


@pytest.fixture(scope="module")
def unbroken(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    command = Command(WORDS, tiny_data, tmp_path_factory.mktemp("unbroken"))
    command.ends_with(0)
    return command


def test_a_bad_output_stops_the_run_which_resumes(
    unbroken: Command, tiny_data: Path, tmp_path: Path, tally: Tally
) -> None:
    assert_stops("output", f"the output of {LAYER}.", unbroken, tiny_data, tmp_path, tally)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("what", "place"), [("gradient", f"the gradient that reaches the output of {LAYER}"), ("loss", "the loss")]
)
def test_a_bad_gradient_or_loss_stops_the_run_which_resumes(
    what: str, place: str, unbroken: Command, tiny_data: Path, tmp_path: Path, tally: Tally
) -> None:
    assert_stops(what, place, unbroken, tiny_data, tmp_path, tally)


def test_so_many_bad_updates_in_a_row_are_left_out_and_no_more(
    unbroken: Command, tiny_data: Path, tmp_path: Path, tally: Tally
) -> None:
    allowed = Command([*WORDS, "engine.max_skipped_updates=1"], tiny_data, tmp_path)
    with tally("two bad updates in a row"):
        allowed.ends_with(2, Poison("output", (3, 6, 7)))
        assert "after 1 skipped updates; first in" in allowed.log.read_text()
    with tally("bad update, left out", 2):
        allowed.ends_with(0, Poison("output", (2, 6)))
        trained = [row["update"] for row in curve_of(only_run(tmp_path)) if row["split"] == "train"]
        assert trained == list(range(1, 13))
        assert not same_weights(weights_of(only_run(tmp_path)), weights_of(only_run(unbroken.results)))
        assert only_run(tmp_path).parent.name == only_run(unbroken.results).parent.name, "an engine's setting"


def test_clamped_denominators_are_a_rate_that_survives_a_kill(
    unbroken: Command, tiny_data: Path, tmp_path: Path, tally: Tally
) -> None:
    assert not [row for row in curve_of(only_run(unbroken.results)) if RATE in row], "a LayerNorm divides by no sum"
    # Features of both signs, so that some sums are negative; a row tells of more updates than a restart repeats.
    words = [*TINY, "encoding=rope", "protocol.normalizer=denominator", "attention.feature_map=identity",
             "engine.log_interval=5"]  # fmt: skip
    whole, broken = (Command(words, tiny_data, tmp_path / name) for name in ("whole", "broken"))
    whole.ends_with(0)
    with tally("SIGKILL between two rows"):
        broken.ends_with(-signal.SIGKILL, Moment("in an update", 8))
        broken.ends_with(0)
        rows = curve_of(only_run(broken.results))
        assert rows == curve_of(only_run(whole.results))
    trained = [row for row in rows if row["split"] == "train"]
    assert [row["update"] for row in trained] == [5, 10]
    assert all(0 < row[RATE] < 1 for row in trained)
    assert not [row for row in rows if row["split"] == "valid" and RATE in row]
