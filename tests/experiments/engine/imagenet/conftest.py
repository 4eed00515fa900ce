"""A small folder of images, and the overrides that make a run of seconds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from data_prep.api import prepare
from tests.data_prep.images.support import write_folder
from tests.experiments.conftest import run_module

TINY = [
    "experiment=imagenet",
    "data=cifar10",
    "tracker=disabled",
    "engine.device=cpu",
    "engine.threads=1",
    "engine.log_interval=1",
    "engine.samples_per_device=8",
    "model.image_size=8",
    "model.patch_size=4",
    "model.embed_dim=32",
    "model.ffn_dim=32",
    "model.num_heads=2",
    "recipe.batch_size=8",
    "recipe.epochs=3",
    "recipe.warmup_epochs=1",
    "recipe.validate_interval_updates=3",
]
AUGMENTED = [
    "recipe.crop=resized",
    "recipe.horizontal_flip=0.5",
    "recipe.auto_augment=rand-m9-mstd0.5-inc1",
    "recipe.random_erasing=0.5",
    "recipe.mixup=0.8",
    "recipe.cutmix=1.0",
    "recipe.mix_group=4",
    "recipe.repeats=2",
    "recipe.average_decay=0.9",
    "model.drop_path=0.2",
]


@pytest.fixture(scope="session")
def image_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root (LRPE_DATA) that holds 36 and 12 images of three classes under the name cifar10."""
    folder = tmp_path_factory.mktemp("images")
    source = write_folder(folder / "source", train=12, valid=4)
    prepare("cifar10", out=folder, source=source, allow_other_counts=True)
    return folder


def train_command(*overrides: str, launcher: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, *launcher, "-m", "experiments.train", *_tiny(overrides)]


def _tiny(overrides: tuple[str, ...]) -> list[str]:
    given = {override.partition("=")[0] for override in overrides}
    return [*(override for override in TINY if override.partition("=")[0] not in given), *overrides]


def run_train(data: Path, results: Path, *overrides: str, launcher: tuple[str, ...] = ()) -> None:
    """``python -m experiments.train`` on the small images, as a user would run it."""
    run_module("experiments.train", data, results, *_tiny(overrides), launcher=launcher)
