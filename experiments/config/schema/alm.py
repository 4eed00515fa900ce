"""Autoregressive language modeling: its model, its recipe, and what does not go together."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING, DictConfig

from experiments.config.schema.common import (
    RunConfig,
    Schema,
    Training,
    Transformer,
    check_length,
    check_recorded_dropout,
)
from experiments.util.errors import UserError


@dataclass
class Model(Transformer):
    final_norm: bool = MISSING
    scale_embedding: bool = MISSING
    share_input_output: bool = MISSING
    adaptive_cutoffs: list[int] = field(default_factory=list)
    adaptive_dropout: float = MISSING
    max_positions: int = MISSING


@dataclass
class Recipe(Training):
    tokens_per_sample: int = MISSING
    context_window: int = MISSING


@dataclass
class Config(RunConfig):
    model: Model = field(default_factory=Model)
    recipe: Recipe = field(default_factory=Recipe)


def check(config: DictConfig) -> None:
    recipe = config.recipe
    check_recorded_dropout(config)
    if recipe.context_window >= recipe.tokens_per_sample:
        raise UserError(
            f"recipe.context_window={recipe.context_window} leaves no token to evaluate of "
            f"recipe.tokens_per_sample={recipe.tokens_per_sample}; lower it"
        )
    check_length(config, "recipe.tokens_per_sample", recipe.tokens_per_sample)


SCHEMA = Schema(
    config=Config,
    minimum={
        "model.adaptive_dropout": 0,
        "model.max_positions": 1,
        "recipe.tokens_per_sample": 2,
        "recipe.context_window": 0,
    },
    rates=("model.adaptive_dropout",),
    check=check,
)
