"""Accuracy of a checkpoint, on a prepared split or on a folder of images, at the trained size or another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils, tasks
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from data_prep.errors import DataError
from data_prep.images.index import ImageSplit
from experiments.engine import checkpoints
from experiments.engine.families.imagenet.criterion import count_correct
from experiments.engine.families.imagenet.dataset import EvaluationImages
from experiments.engine.families.imagenet.task import whole
from experiments.engine.families.imagenet.transforms import evaluation_transform
from experiments.errors import UserError


@dataclass(frozen=True)
class Score:
    """loss in nats an image; top-1 and top-5 accuracy in per cent; images scored."""

    loss: float
    top1: float
    top5: float
    images: int


def load(path: Path, data: Path | None = None) -> tuple[Any, DictConfig, Any]:
    """(model in evaluation mode, its fairseq config, its task) from a checkpoint; ``data`` replaces the data folder.

    Raises:
        UserError: the checkpoint or the data cannot be read.
    """
    state = checkpoints.read(path)
    config = OmegaConf.create(state["cfg"])
    if config.task.get("_name") != "lrpe_image_classification":
        raise UserError(f"{path} is no checkpoint of image classification but of {config.task.get('_name')}")
    if data is not None:
        config.task.data = str(data)
    task = tasks.setup_task(config.task)
    with open_dict(config):
        config.model.compile = False
    models, _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(path)], task=task, state={**state, "cfg": config}
    )
    return models[0].eval(), config, task


def evaluate(
    path: Path,
    split: str,
    *,
    data: Path | None = None,
    image_size: int | None = None,
    batch_size: int | None = None,
    workers: int = 0,
    cuda: bool = False,
) -> Score:
    """Loss and accuracy on a split of prepared images, of any size of image.

    Args:
        path: of the checkpoint.
        split: train, valid or test.
        data: folder of prepared images with the same classes; the checkpoint's by default.
        image_size: pixels; the trained size by default. Learned positions are interpolated, others just go on.
        batch_size: images at once; as in training by default.
        workers: processes that decode.
        cuda: on the GPU.

    Raises:
        UserError: unreadable checkpoint, data or image, an unknown split, other classes, or a size that is no multiple
            of the patch.
    """
    model, config, _ = load(path, data)
    images = open_split(Path(config.task.data), split, model.model.config.num_classes)
    dataset = EvaluationImages(images, transform_of(config, image_size))
    loss = top1 = top5 = 0.0
    for logits, target, _ in predictions(model, dataset, batch_size or config.dataset.batch_size, workers, cuda):
        right = count_correct(logits, target)
        loss += float(F.cross_entropy(logits.double(), target, reduction="sum"))
        top1, top5 = top1 + int(right[0]), top5 + int(right[1])
    return Score(loss / len(dataset), 100 * top1 / len(dataset), 100 * top5 / len(dataset), len(dataset))


def open_split(folder: Path, split: str, classes: int) -> ImageSplit:
    """A prepared split whose classes are as many as a model's.

    Raises:
        UserError: it is not there, or has other classes.
    """
    try:
        images = ImageSplit(folder, split)
    except DataError as error:
        raise UserError(str(error)) from error
    if len(images.classes) != classes:
        raise UserError(f"{folder} has {len(images.classes)} classes and the model {classes}")
    return images


def transform_of(config: DictConfig, image_size: int | None) -> Any:
    """The evaluation's transform of a checkpoint's config, perhaps of another size.

    Raises:
        UserError: the size is no multiple of the patch.
    """
    size, patch = image_size or config.task.image_size, config.model.patch_size
    if size % patch:
        near = max(round(size / patch), 1) * patch
        raise UserError(f"image_size={size} does not divide into patches of {patch}: try image_size={near}")
    return evaluation_transform(size, config.task.crop_fraction)


@torch.inference_mode()
def predictions(
    model: Any, dataset: EvaluationImages, batch_size: int, workers: int, cuda: bool
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(logits Float32[batch classes], labels Int[batch], images) of every batch, on the model's device.

    Raises:
        UserError: an image is damaged.
    """
    device = torch.device("cuda" if cuda else "cpu")
    model.to(device)
    loader = DataLoader(dataset, batch_size, num_workers=workers, collate_fn=dataset.collater)
    for batch in loader:
        images = whole(batch)["net_input"]["images"].to(device)
        yield model(images).float(), batch["target"].to(device), images
