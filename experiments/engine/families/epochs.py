"""Intervals that are given in epochs."""

from __future__ import annotations

from collections.abc import Callable

from omegaconf import DictConfig


def validation_interval(config: DictConfig, count_blocks: Callable[[DictConfig], int]) -> int:
    """``recipe.validate_interval_updates``, or where it is null the updates in ``recipe.validate_interval_epochs``.

    Args:
        config: of a run on blocks of text.
        count_blocks: how many blocks the training split has; called only where epochs count.
    """
    recipe = config.recipe
    if recipe.validate_interval_updates is not None:
        return int(recipe.validate_interval_updates)
    return int(recipe.validate_interval_epochs) * -(-count_blocks(config) // int(recipe.batch_size))
