"""Autoregressive language modeling: its model, its recipe, and what does not go together."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING, DictConfig

from experiments.config.schema.common import (
    Schema,
    check_length,
    check_recorded_dropout,
    check_validation_interval,
)
from experiments.config.schema.model import model_section
from experiments.config.schema.sections import RunConfig, Training
from experiments.util.errors import UserError
from lrpe.models import DecoderConfig

Model = model_section(DecoderConfig)


@dataclass
class Recipe(Training):
    tokens_per_sample: int = MISSING
    samples_per_pass: int = MISSING
    validate_interval_epochs: int | None = MISSING
    context_window: int = MISSING


@dataclass
class Config(RunConfig):
    model: Model = field(default_factory=Model)  # pyright: ignore[reportInvalidTypeForm]
    recipe: Recipe = field(default_factory=Recipe)


def check(config: DictConfig) -> None:
    recipe = config.recipe
    check_recorded_dropout(config)
    if recipe.context_window >= recipe.tokens_per_sample:
        raise UserError(
            f"recipe.context_window={recipe.context_window} leaves no token to evaluate of "
            f"recipe.tokens_per_sample={recipe.tokens_per_sample}; lower it"
        )
    check_validation_interval(config)
    check_length(config, "recipe.tokens_per_sample", recipe.tokens_per_sample)


SCHEMA = Schema(
    config=Config,
    model=DecoderConfig,
    minimum={
        "recipe.tokens_per_sample": 2,
        "recipe.context_window": 0,
        "recipe.samples_per_pass": 1,
        "recipe.validate_interval_epochs": 1,
    },
    rates=(),
    check=check,
    causal=True,
)
