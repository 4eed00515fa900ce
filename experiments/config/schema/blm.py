"""Bidirectional language modeling (RoBERTa's masked language model): its model, its recipe."""

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
from lrpe.models import EncoderConfig

Model = model_section(EncoderConfig)


@dataclass
class Recipe(Training):
    tokens_per_sample: int = MISSING
    samples_per_pass: int = MISSING
    validate_interval_epochs: int | None = MISSING
    mask_probability: float = MISSING
    leave_unmasked_probability: float = MISSING
    random_token_probability: float = MISSING


@dataclass
class Config(RunConfig):
    model: Model = field(default_factory=Model)  # pyright: ignore[reportInvalidTypeForm]
    recipe: Recipe = field(default_factory=Recipe)


def check(config: DictConfig) -> None:
    recipe = config.recipe
    check_recorded_dropout(config)
    check_masking(recipe)
    check_validation_interval(config)
    check_length(config, "recipe.tokens_per_sample", recipe.tokens_per_sample)


def check_masking(recipe: DictConfig, prefix: str = "recipe") -> None:
    """Refuse probabilities that are none.

    Raises:
        UserError: naming the key.
    """
    if not 0 < recipe.mask_probability < 1:
        raise UserError(f"{prefix}.mask_probability={recipe.mask_probability}: expected a number between 0 and 1")
    left, drawn = recipe.leave_unmasked_probability, recipe.random_token_probability
    if not (0 <= left <= 1 and 0 <= drawn <= 1 and left + drawn <= 1):
        raise UserError(
            f"{prefix}.leave_unmasked_probability={left} and {prefix}.random_token_probability={drawn}: "
            "expected two probabilities with a sum of at most 1"
        )


SCHEMA = Schema(
    config=Config,
    model=EncoderConfig,
    minimum={
        "recipe.tokens_per_sample": 3,
        "recipe.samples_per_pass": 1,
        "recipe.validate_interval_epochs": 1,
    },
    rates=(),
    check=check,
    padded=True,
)
