"""The experiment families by the name of their experiment; one package a family."""

from __future__ import annotations

from omegaconf import DictConfig

from experiments.engine.families.alm import AutoregressiveLM
from experiments.engine.families.base import Counting, Family

__all__ = ["FAMILIES", "Counting", "Family", "family_of"]

FAMILIES: dict[str, Family] = {family.name: family for family in (AutoregressiveLM(),)}


def family_of(config: DictConfig) -> Family:
    """The family of a validated config."""
    return FAMILIES[config.experiment.name]
