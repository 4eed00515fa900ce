"""The experiment families by the name of their experiment; every module and package here is imported, and registers its
family."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from omegaconf import DictConfig

from experiments.engine.families.base import REGISTERED, Counting, Family
from experiments.engine.loading import read_config
from experiments.util.errors import UserError

__all__ = ["FAMILIES", "Counting", "Family", "family_of", "family_of_checkpoint"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
FAMILIES: dict[str, Family] = {name: kind() for name, kind in sorted(REGISTERED.items())}


def family_of(config: DictConfig) -> Family:
    """The family of a validated config."""
    return FAMILIES[config.experiment.name]


def family_of_checkpoint(path: Path) -> Family:
    """The family whose task a checkpoint, or an exported folder, was trained on.

    Raises:
        UserError: the checkpoint cannot be read, or is of none.
    """
    task = read_config(path).task._name
    for family in FAMILIES.values():
        if family.fairseq_task == task:
            return family
    raise UserError(f"{path}: trained on fairseq's task {task}, and there are {', '.join(known_tasks())}")


def known_tasks() -> list[str]:
    """fairseq's names of our tasks."""
    return [family.fairseq_task for family in FAMILIES.values()]
