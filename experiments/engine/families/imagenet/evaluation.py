"""Accuracy of a checkpoint, on a prepared split or on a folder of images, at the trained size or another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from data_prep.core.errors import DataError
from data_prep.images.index import ImageSplit
from data_prep.images.loose import UNKNOWN, LooseImages
from experiments.engine import loading
from experiments.engine.families.imagenet.criterion import count_correct
from experiments.engine.families.imagenet.dataset import EvaluationImages
from experiments.engine.families.imagenet.task import whole
from experiments.engine.families.imagenet.transforms import ImageEvaluation
from experiments.engine.model_config import model_values
from experiments.util.errors import UserError


@dataclass(frozen=True)
class Score:
    """loss in nats per image; top-1 and top-5 accuracy in per cent; images scored."""

    loss: float
    top1: float
    top5: float
    images: int


def load(path: Path, data: Path | None = None, *, prepared: bool = True) -> tuple[Any, DictConfig, Any]:
    """(model in evaluation mode, its fairseq config, its task) from a checkpoint; ``data`` replaces the data folder,
    which is not looked at where ``prepared`` is False.

    Raises:
        UserError: the checkpoint or the data cannot be read.
    """
    task = loading.read_config(path).task._name
    if task != "lrpe_image_classification":
        raise UserError(f"{path} is no checkpoint of image classification but of {task}")
    return loading.load(path, data, prepared=prepared)


def evaluate(
    path: Path,
    split: str | None = None,
    *,
    data: Path | None = None,
    images: Path | None = None,
    image_size: int | None = None,
    crop_fraction: float | None = None,
    samples: int | None = None,
    workers: int = 0,
    cuda: bool = False,
) -> Score:
    """Loss and accuracy on a split of prepared images or on a folder of images, of any size.

    Args:
        path: of the checkpoint.
        split: train, valid or test; by default test, or valid where there is no test.
        data: folder of prepared images with the same classes; the checkpoint's by default.
        images: instead, a folder ``<class>/<image>``.
        image_size: pixels; the trained size by default. Learned positions are interpolated, others just go on.
        crop_fraction: part of the shorter side that the crop of the middle keeps; the recipe's by default.
        samples: images at once; as in training by default.
        workers: processes that decode.
        cuda: on the GPU.

    Raises:
        UserError: unreadable checkpoint, data or image, an unknown split, other classes, images without classes, a
            size that is no multiple of the patch, or a fraction outside (0, 1].
    """
    model, config, task = load(path, data, prepared=images is None)
    dataset = open_images(config, task.classes, split, images, image_size, crop_fraction)
    if (dataset.split.labels == UNKNOWN).any():
        raise UserError(f"{images} has no folders of classes, so there is nothing to score: see experiments.inspect")
    loss = top1 = top5 = 0.0
    loading.prepare_model(model, config, cuda)
    batch = samples or config.dataset.batch_size_valid or config.dataset.batch_size
    for logits, target, _ in predictions(model, dataset, batch, workers, cuda):
        right = count_correct(logits, target)
        loss += float(F.cross_entropy(logits.double(), target, reduction="sum"))
        top1, top5 = top1 + int(right[0]), top5 + int(right[1])
    return Score(loss / len(dataset), 100 * top1 / len(dataset), 100 * top5 / len(dataset), len(dataset))


def open_images(
    config: DictConfig,
    classes: Sequence[str],
    split: str | None,
    images: Path | None,
    image_size: int | None,
    crop_fraction: float | None = None,
) -> EvaluationImages:
    """Images for a checkpoint's config: those of a prepared split, or of a folder.

    Raises:
        UserError: they are not there, have other classes, the size is no multiple of the patch, or the fraction is
            outside (0, 1].
    """
    seen = ImageEvaluation.of(config.task)
    seen = replace(
        seen,
        image_size=seen.image_size if image_size is None else image_size,
        crop_fraction=seen.crop_fraction if crop_fraction is None else crop_fraction,
    )
    size, patch, fraction = seen.image_size, model_values(config.model)["patch_size"], seen.crop_fraction
    if size <= 0 or size % patch:
        near = max(round(size / patch), 1) * patch
        raise UserError(f"image_size={size} does not divide into patches of {patch}: try image_size={near}")
    if not 0 < fraction <= 1:
        raise UserError(f"crop_fraction={fraction}: expected more than 0 and at most 1, which keeps the whole side")
    folder = Path(config.task.data)
    try:
        if images is not None:
            found: ImageSplit | LooseImages = LooseImages(images, classes)
        else:
            loading.verify_data(folder)
            found = ImageSplit(folder, split or ("test" if (folder / "test.arrow").is_file() else "valid"))
    except DataError as error:
        raise UserError(str(error)) from error
    if found.classes != list(classes):
        raise UserError(f"{folder} has other classes than the checkpoint ({len(found.classes)} and {len(classes)})")
    return EvaluationImages(found, seen.transform())


@torch.inference_mode()
def predictions(
    model: Any, dataset: Dataset[Any], batch_size: int, workers: int = 0, cuda: bool = False
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(logits Float32[batch classes], labels Int[batch], images) of every batch, on the model's device.

    Args:
        dataset: an :class:`EvaluationImages` or a part of one.

    Raises:
        UserError: an image is damaged.
    """
    device = torch.device("cuda" if cuda else "cpu")
    model.to(device)
    whole_set: Any = getattr(dataset, "dataset", dataset)
    collate = whole_set.collater
    for batch in DataLoader(dataset, batch_size, num_workers=workers, collate_fn=collate):
        images = whole(batch)["net_input"]["images"].to(device)
        yield model(images).float(), batch["target"].to(device), images
