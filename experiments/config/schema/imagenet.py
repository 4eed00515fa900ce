"""Image classification: the vision transformer, the recipe with its augmentation, and what does not go together."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from experiments.config.schema.common import Schema, check_choice
from experiments.config.schema.model import model_section
from experiments.config.schema.sections import RunConfig, Training
from experiments.util.errors import UserError
from lrpe.models import VisionConfig

CROPS = ("resized", "padded", "none")
_POLICY = re.compile(r"(rand|augmix)(-[\w.]+)*|(original|originalr|v0|v0r|3a)(-mstd[\d.]+)?")
CHOICES = {
    "recipe.crop": CROPS,
    "recipe.interpolation": ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"),
}


OF_ATTENTION = ("denominator_from", "denominator_eps")
# ``published`` and ``controlled`` hold what the authors' code does another way than DeiT; the keys of the same names
# choose from them by ``protocol.name``, and are switches of their own. The other three are here for the record: every
# vision transformer of ours has these values.
Model = model_section(
    VisionConfig,
    OF_ATTENTION,
    normalize_before=(bool, MISSING),
    attention_dropout=(float, MISSING),
    activation_dropout=(float, MISSING),
    published=(dict[str, Any], field(default_factory=dict)),
    controlled=(dict[str, Any], field(default_factory=dict)),
)


@dataclass
class Recipe(Training):
    """Lengths are epochs; ``max_update``, ``warmup_updates`` and ``validate_interval_updates`` replace them."""

    epochs: int = MISSING
    warmup_epochs: int = MISSING
    validate_interval_epochs: int = MISSING
    max_update: int | None = None
    warmup_updates: int | None = None
    validate_interval_updates: int | None = None
    min_learning_rate: float = MISSING
    average_decay: float = MISSING
    crop: str = MISSING
    crop_scale: float = MISSING
    crop_padding: int = MISSING
    horizontal_flip: float = MISSING
    auto_augment: str | None = None
    color_jitter: float = MISSING
    interpolation: str = MISSING
    random_erasing: float = MISSING
    repeats: int = MISSING
    mixup: float = MISSING
    cutmix: float = MISSING
    mix_probability: float = MISSING
    mix_switch_probability: float = MISSING
    mix_group: int = MISSING
    label_smoothing: float = MISSING
    crop_fraction: float = MISSING


@dataclass
class Config(RunConfig):
    model: Model = field(default_factory=Model)  # pyright: ignore[reportInvalidTypeForm]
    recipe: Recipe = field(default_factory=Recipe)


def check(config: DictConfig) -> None:
    model, recipe, encoding = config.model, config.recipe, config.encoding
    for key, choices in CHOICES.items():
        check_choice(key, OmegaConf.select(config, key), choices)
    for key, only in (("normalize_before", True), ("attention_dropout", 0), ("activation_dropout", 0)):
        if model[key] != only:
            raise UserError(f"model.{key}={model[key]}: expected {only}, which every vision transformer has")
    if recipe.auto_augment is not None and not _POLICY.fullmatch(recipe.auto_augment):
        raise UserError(
            f"recipe.auto_augment={recipe.auto_augment}: expected a policy of timm's (rand-m9-mstd0.5-inc1, augmix-m3, "
            "original, originalr, v0, v0r, 3a), or null"
        )
    if model.image_size % model.patch_size:
        raise UserError(
            f"model.image_size={model.image_size} does not divide into patches of model.patch_size={model.patch_size}; "
            f"give e.g. model.image_size={-(-model.image_size // model.patch_size) * model.patch_size}"
        )
    if encoding.options.get("decay", "none") not in ("none", True, False):
        raise UserError(
            f"encoding={encoding.label}: a decay is a function of a distance in sequence, which images do not have; "
            "use encoding.options.decay=none"
        )
    if recipe.max_update is None and recipe.warmup_updates is None and recipe.warmup_epochs >= recipe.epochs:
        raise UserError(
            f"recipe.warmup_epochs={recipe.warmup_epochs} leaves nothing of recipe.epochs={recipe.epochs}; lower it"
        )
    for name in ("horizontal_flip", "random_erasing", "mix_probability", "mix_switch_probability"):
        if not 0 <= recipe[name] <= 1:
            raise UserError(f"recipe.{name}={recipe[name]}: expected a probability, between 0 and 1")
    for name in ("crop_scale", "crop_fraction"):
        if not 0 < recipe[name] <= 1:
            raise UserError(f"recipe.{name}={recipe[name]}: expected a part of the image, above 0 and at most 1")
    if (recipe.mixup or recipe.cutmix) and (recipe.mix_group % 2 or recipe.batch_size % 2):
        raise UserError(
            f"recipe.mix_group={recipe.mix_group}, recipe.batch_size={recipe.batch_size}: Mixup and CutMix pair "
            "images, so both have to be even: give even numbers"
        )


SCHEMA = Schema(
    config=Config,
    model=VisionConfig,
    also=OF_ATTENTION,
    minimum={
        "recipe.epochs": 1,
        "recipe.warmup_epochs": 0,
        "recipe.validate_interval_epochs": 1,
        "recipe.min_learning_rate": 0,
        "recipe.average_decay": 0,
        "recipe.crop_padding": 0,
        "recipe.color_jitter": 0,
        "recipe.repeats": 1,
        "recipe.mixup": 0,
        "recipe.cutmix": 0,
        "recipe.mix_group": 1,
        "recipe.label_smoothing": 0,
    },
    rates=("recipe.average_decay", "recipe.label_smoothing"),
    check=check,
    images=True,
)
