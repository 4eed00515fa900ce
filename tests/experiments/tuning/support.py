"""A study whose trials are runs that take no time."""

from __future__ import annotations

import io
import math
import os
import signal
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
from rich.console import Console

from experiments.launch.processes import Stopped
from experiments.runs.records import RunFolder
from experiments.tune import main
from tests.experiments.conftest import TINY

RATE = "recipe.learning_rate=log(1e-4,1e-1)"


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
    said = io.StringIO()
    console = Console(file=said, width=80, soft_wrap=True, highlight=False)
    code = main([f"study={study}", *TINY, *words], resolve=place, launch=trainer, console=console)
    return code, said.getvalue()


def trials(results: Path) -> list[optuna.trial.FrozenTrial]:
    storage = f"sqlite:///{results / 'tuning' / 'lr' / 'study.db'}"
    return optuna.load_study(study_name="lr", storage=storage).get_trials()
