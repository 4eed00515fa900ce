"""``lrpe_image_classification``: prepared images, their classes, and an order of them that devices do not change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask, register_task

from data_prep.core.errors import DataError
from data_prep.images.index import ImageSplit, class_names
from experiments.engine.families.imagenet.dataset import EvaluationImages, TrainingImages
from experiments.engine.families.imagenet.transforms import Augmentation, ImageEvaluation
from experiments.engine.update_batches import UpdateBatches, divide
from experiments.util.errors import UserError


@dataclass
class LRPEImageClassificationConfig(FairseqDataclass):
    data: str = field(default="", metadata={"help": "folder of prepared images"})
    image_size: int = field(default=224, metadata={"help": "pixels"})
    crop_fraction: float = field(default=0.875, metadata={"help": "of the middle, in evaluation"})
    augmentation: str = field(default="{}", metadata={"help": "JSON, fields of Augmentation"})
    batch_images: int = field(default=64, metadata={"help": "images per update"})
    classes: str = field(default="[]", metadata={"help": "JSON, names by number; those of the data where empty"})
    seed: int = field(default=1, metadata={"help": "of order and augmentation"})


@register_task("lrpe_image_classification", dataclass=LRPEImageClassificationConfig)
class ImageTask(UpdateBatches, FairseqTask):
    """Classification of the images that ``data_prep`` has prepared."""

    cfg: LRPEImageClassificationConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, cfg: LRPEImageClassificationConfig) -> None:
        super().__init__(cfg)
        self.folder = Path(cfg.data)
        try:
            self.classes: list[str] = json.loads(cfg.classes) or class_names(self.folder)
        except DataError as error:
            raise UserError(str(error)) from error
        self.augmentation = Augmentation(**json.loads(cfg.augmentation))

    @property
    def samples_per_update(self) -> int:
        return self.cfg.batch_images

    def load_dataset(self, split: str, combine: bool = False, **_: Any) -> None:
        """Open a prepared split.

        Raises:
            UserError: it is not there, or an augmentation is unknown.
        """
        cfg = self.cfg
        try:
            images = ImageSplit(self.folder, split)
            if split == "train":
                self.datasets[split] = TrainingImages(
                    images, self.augmentation, cfg.image_size, cfg.batch_images, cfg.seed
                )
            else:
                self.datasets[split] = EvaluationImages(images, ImageEvaluation.of(cfg).transform())
        except (DataError, ValueError) as error:
            raise UserError(str(error)) from error

    def get_batch_iterator(
        self, dataset: Any, max_tokens: int | None = None, max_sentences: int | None = None, *args: Any, **options: Any
    ) -> Any:
        if dataset is self.datasets.get("train") and self.augmentation.mixes and max_sentences and max_sentences % 2:
            raise UserError(
                f"Mixup and CutMix pair images, so a pass needs an even number: got {max_sentences} "
                "(engine.samples_per_device, recipe.batch_size over the devices)"
            )
        return super().get_batch_iterator(dataset, max_tokens, max_sentences, *args, **options)

    def epoch_batches(self, samples: int, samples_per_pass: int, seed: int, epoch: int) -> list[np.ndarray]:
        # in order: the data set draws one, since it has to know which images are neighbors
        return divide(epoch * samples + np.arange(samples), self.samples_per_update, samples_per_pass)

    def train_step(self, sample: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        return super().train_step(whole(sample), *args, **options)

    def valid_step(self, sample: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        return super().valid_step(whole(sample), *args, **options)

    def optimizer_step(self, optimizer: Any, model: Any, update_num: int) -> None:
        super().optimizer_step(optimizer, model, update_num)
        model.update_average()  # fairseq's wrappers for several devices pass this on


def whole(sample: Mapping[str, Any]) -> Mapping[str, Any]:
    """The batch itself.

    Raises:
        UserError: an image in it is damaged.
    """
    if "fault" in sample:
        raise UserError(sample["fault"])
    return sample
