"""Fine-tuning on a GLUE task: the task, its recipe, and the pretraining that it starts from."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING, DictConfig

from data_prep.api import TASKS
from experiments.config.schema import blm
from experiments.config.schema.common import Schema, check_length, check_recorded_dropout
from experiments.config.schema.sections import Data, RunConfig, Training
from experiments.util.errors import UserError, nearest
from lrpe.models import EncoderConfig


@dataclass
class Task:
    """A task's own settings; what the task is (labels, pairs, metrics) is in ``data_prep.TASKS``."""

    name: str = MISSING
    metric: str = MISSING
    learning_rate: float = MISSING
    batch_size: int = MISSING
    max_update: int = MISSING
    warmup_updates: int = MISSING
    validate_interval_updates: int = MISSING


@dataclass
class Pretraining:
    """``start``: ``run`` (the run of ``experiment=blm`` with this config's encoding, attention, protocol, model and
    seed, trained first where it is missing), ``checkpoint`` (the file named) or ``scratch``."""

    start: str = MISSING
    checkpoint: str | None = None
    data: Data = field(default_factory=Data)
    recipe: blm.Recipe = field(default_factory=blm.Recipe)


@dataclass
class Recipe(Training):
    validate_interval_updates: int = MISSING
    samples_per_pass: int = MISSING
    max_length: int = MISSING
    head_dropout: float = MISSING


@dataclass
class Config(RunConfig):
    model: blm.Model = field(default_factory=blm.Model)  # pyright: ignore[reportInvalidTypeForm]
    recipe: Recipe = field(default_factory=Recipe)
    task: Task = field(default_factory=Task)
    pretraining: Pretraining = field(default_factory=Pretraining)


STARTS = ("run", "checkpoint", "scratch")


def check(config: DictConfig) -> None:
    task, pretraining = config.task, config.pretraining
    check_recorded_dropout(config)
    if task.name not in TASKS:
        raise UserError(f"task.name={task.name}: unknown{nearest(task.name, TASKS)} (choices: {', '.join(TASKS)})")
    metrics = TASKS[task.name].metrics
    if task.metric not in metrics:
        raise UserError(
            f"task.metric={task.metric}: {task.name} is measured by {', '.join(metrics)}{nearest(task.metric, metrics)}"
        )
    if pretraining.start not in STARTS:
        raise UserError(
            f"pretraining.start={pretraining.start}: expected one of {', '.join(STARTS)}"
            f"{nearest(pretraining.start, STARTS)}"
        )
    if (pretraining.start == "checkpoint") != (pretraining.checkpoint is not None):
        raise UserError(
            "pretraining.start=checkpoint and pretraining.checkpoint=<file.pt> go together; "
            f"got start={pretraining.start}, checkpoint={pretraining.checkpoint}"
        )
    least = 3 * len(TASKS[task.name].sentences)  # <s> or </s>, one token and </s> of each sentence
    if config.recipe.max_length < least:
        raise UserError(f"recipe.max_length={config.recipe.max_length}: expected at least {least} for {task.name}")
    blm.check_masking(pretraining.recipe, "pretraining.recipe")
    check_length(config, "recipe.max_length", config.recipe.max_length)
    check_length(config, "pretraining.recipe.tokens_per_sample", pretraining.recipe.tokens_per_sample)


SCHEMA = Schema(
    config=Config,
    model=EncoderConfig,
    minimum={
        "recipe.max_length": 4,
        "recipe.head_dropout": 0,
        "recipe.samples_per_pass": 1,
        "pretraining.recipe.samples_per_pass": 1,
        "pretraining.recipe.tokens_per_sample": 3,
        "pretraining.recipe.batch_size": 1,
        "pretraining.recipe.max_update": 1,
        "pretraining.recipe.warmup_updates": 1,
        "pretraining.recipe.learning_rate": 0,
    },
    rates=("recipe.head_dropout",),
    check=check,
    padded=True,
)
