"""The experiment families by the name of their experiment; one package a family."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from experiments.engine.families.alm import AutoregressiveLM
from experiments.engine.families.base import Counting, Family
from experiments.engine.families.blm import BidirectionalLM
from experiments.engine.families.glue import SentenceClassification
from experiments.engine.families.imagenet import ImageClassification
from experiments.engine.loading import read_config
from experiments.util.errors import UserError

__all__ = ["FAMILIES", "Counting", "Family", "family_of", "family_of_checkpoint"]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (AutoregressiveLM(), BidirectionalLM(), SentenceClassification(), ImageClassification())
}


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
